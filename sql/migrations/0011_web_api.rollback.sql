drop view analytics_summary, analytics_table_sizes, analytics_partitions;
drop function analytics_card_totals(text, date, date);
drop function analytics_event_totals(text, date, date);
drop function cleanup_old_raw_events(integer);
drop function backfill_aggregates(timestamptz, timestamptz);
drop function aggregate_analytics_daily(date);
drop function take_all_analytics_marks();
drop function mark_analytics_day(date);
