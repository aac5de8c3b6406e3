drop function close_analytics(regclass[], regprocedure[]);
drop function make_analytics_partitions(date, date);
drop table analytics_clicks, analytics_page_views, analytics_sessions, analytics_events, analytics_retention;
