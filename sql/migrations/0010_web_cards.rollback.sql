drop function write_analytics_card_parts(text[], date);
drop function write_analytics_card_days(text[], date);
drop function refuse_analytics_card_rows(text[], date[], timestamptz);
drop function aggregate_analytics_cards(integer);
