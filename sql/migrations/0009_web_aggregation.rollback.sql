drop function write_analytics_event_days(text[], date);
drop function aggregate_analytics_days(integer);
drop function analytics_newcomers(text, text[], date, text[]);
drop function replace_analytics_members(text, text[], date);
drop function analytics_members_seen(text, text[], date);
drop function analytics_card_actions(text[], date);
drop function aggregate_analytics_hours(integer);
drop function note_analytics_progress(text, timestamptz, bigint);
drop function start_analytics_aggregation(text);
