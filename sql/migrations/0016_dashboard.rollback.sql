drop table check_verdicts;

do $$
declare
    name text;
begin
    foreach name in array array[
        'raw_partitions', 'subscriber_daily_contributions', 'subscribers_insights_v2', 'sync_watermarks', 'sync_logs',
        'late_days', 'subscriber_profiles', 'subscriber_profile_changes', 'profile_snapshots'
    ] loop
        execute format('revoke select on %I from authenticated', name);
        execute format('drop policy admins on %I', name);
        execute format('drop policy admins_alone on %I', name);
        -- Made with the row-level security that it went with.
        if exists (select from pg_policy where polrelid = name::regclass and polname = 'whoever_was_granted') then
            execute format('drop policy whoever_was_granted on %I', name);
            execute format('alter table %I disable row level security', name);
        end if;
    end loop;
end
$$;

drop policy admins on analytics_dirty_days;
drop policy admins on analytics_dirty_cards;
drop policy admins on analytics_retention;
revoke select (id, day) on analytics_dirty_days, analytics_dirty_cards from authenticated;
revoke select (raw_floor) on analytics_retention from authenticated;

alter function analytics_is_admin() parallel unsafe;
