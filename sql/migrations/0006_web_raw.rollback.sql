-- Weeks that retention had emptied and cut off, and was ended before it dropped them.
do $$
declare
    leaf regclass;
begin
    for leaf in
        select oid from pg_class
        where relnamespace = (select relnamespace from pg_class where oid = 'analytics_events'::regclass)
            and relkind = 'r' and not relispartition
            and obj_description(oid, 'pg_class') = 'Emptied by retention, to be dropped.'
    loop
        execute format('drop table %s', leaf);
    end loop;
end
$$;
drop function close_analytics(regclass[], regprocedure[]);
drop function make_analytics_partitions(date, date);
drop table analytics_clicks, analytics_page_views, analytics_sessions, analytics_events, analytics_retention;
