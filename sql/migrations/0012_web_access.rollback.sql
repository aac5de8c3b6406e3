-- Roles stay: other databases may use them. What the migrations before made is closed as they left it.
do $$
declare
    name text;
begin
    foreach name in array array[
        'analytics_events', 'analytics_events_hourly_agg', 'analytics_events_daily_agg', 'analytics_events_daily_totals'
    ] loop
        execute format('drop policy own_projects on %I', name);
    end loop;
    foreach name in array array[
        'analytics_sessions', 'analytics_page_views', 'analytics_clicks',
        'analytics_daily_user_stats', 'analytics_daily_group_stats', 'analytics_daily_contact_stats',
        'analytics_daily_page_stats', 'analytics_daily_click_targets'
    ] loop
        execute format('drop policy own_cards on %I', name);
    end loop;
    foreach name in array array[
        'analytics_events', 'analytics_sessions', 'analytics_page_views', 'analytics_clicks',
        'analytics_events_hourly_agg', 'analytics_events_daily_agg', 'analytics_events_daily_totals',
        'analytics_daily_user_stats', 'analytics_daily_group_stats', 'analytics_daily_contact_stats',
        'analytics_daily_page_stats', 'analytics_daily_click_targets', 'analytics_daily_members',
        'analytics_progress', 'analytics_retention',
        'analytics_dirty_hours', 'analytics_dirty_days', 'analytics_dirty_cards'
    ] loop
        execute format('drop policy service on %I', name);
    end loop;
end
$$;
drop policy own_members on analytics_daily_members;
drop policy everybody_signed_in on analytics_progress;

select close_analytics(
    array[
        'analytics_events', 'analytics_sessions', 'analytics_page_views', 'analytics_clicks',
        'analytics_events_hourly_agg', 'analytics_events_daily_agg', 'analytics_events_daily_totals',
        'analytics_daily_user_stats', 'analytics_daily_group_stats', 'analytics_daily_contact_stats',
        'analytics_daily_page_stats', 'analytics_daily_click_targets', 'analytics_daily_members',
        'analytics_progress', 'analytics_retention',
        'analytics_dirty_hours', 'analytics_dirty_days', 'analytics_dirty_cards',
        'analytics_summary', 'analytics_table_sizes', 'analytics_partitions'
    ]::regclass[],
    array[
        'make_analytics_partitions(date, date)', 'aggregate_analytics_hours(integer)',
        'aggregate_analytics_days(integer)', 'aggregate_analytics_cards(integer)', 'aggregate_analytics_daily(date)',
        'backfill_aggregates(timestamptz, timestamptz)', 'cleanup_old_raw_events(integer)',
        'analytics_event_totals(text, date, date)', 'analytics_card_totals(text, date, date)'
    ]::regprocedure[]
);

drop function analytics_is_admin();
drop function analytics_my_projects();
drop function analytics_my_cards();

-- Of the tables of accounts go those that the migration made, unless somebody filled them: nothing brings those rows
-- back. They stay, closed, and the migration takes them up again.
do $$
declare
    name text;
    filled boolean;
begin
    foreach name in array array['account', 'project', 'account_collaborator', 'admin_users', 'card_owner'] loop
        continue when (obj_description(to_regclass(name), 'pg_class') ~ 'Made by mixpanel-pipeline\.$') is not true;
        execute format('lock table %I in access exclusive mode', name);
        execute format('select exists (select from %I)', name) into filled;
        if filled then
            execute format('drop policy service on %I', name);
            perform close_analytics(array[name]::regclass[], '{}');
            raise notice '% has rows and stays; to be rid of it: drop table %', name, name;
        else
            execute format('drop table %I', name);
        end if;
    end loop;
    if obj_description(to_regprocedure('auth.uid()'), 'pg_proc') ~ 'Made by mixpanel-pipeline\.$' then
        drop function auth.uid();
        begin
            drop schema auth;
        exception when dependent_objects_still_exist then null;         -- somebody else's things are in it
        end;
    end if;
end
$$;
