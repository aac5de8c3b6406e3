do $$
declare
    raw text;
begin
    foreach raw in array array['analytics_events', 'analytics_sessions', 'analytics_page_views', 'analytics_clicks'] loop
        execute format('drop trigger mark_inserted on %I', raw);
        execute format('drop trigger mark_updated on %I', raw);
        execute format('drop trigger mark_deleted on %I', raw);
    end loop;
end
$$;
drop function mark_analytics_hours();
drop function mark_analytics_cards();
drop table analytics_dirty_hours, analytics_dirty_days, analytics_dirty_cards;
