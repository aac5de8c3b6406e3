drop table late_sweeps;
drop table late_days;
drop table sync_logs;
drop table sync_watermarks;
drop table subscribers_insights_v2;
drop table subscriber_daily_contributions;
drop table raw_partitions;
