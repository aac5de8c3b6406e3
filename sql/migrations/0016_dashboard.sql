-- What the dashboard shows of the pipeline itself: what checks found, and who may read it: admins alone.

-- A check is asked about a run's days, or about all: `looked_at`. `stands` is what was wrong and no later verdict of that
-- check has looked at, empty when it passed. So a check fails as long as a row of it stands: that it passed for another
-- day does not hide that. One that is not conclusive (Mixpanel did not answer, say) settles nothing.
create table check_verdicts (
    id bigint generated always as identity primary key,
    check_name text not null,
    checked_at timestamptz not null default clock_timestamp(),
    looked_at tstzrange not null,
    passed boolean not null,
    conclusive boolean not null default true,
    severity text not null check (severity in ('warning', 'error')),
    summary text not null,
    fix text not null default '',
    figures jsonb not null default '{}',
    stands tstzmultirange not null default '{}'
);
create index on check_verdicts (check_name, id);
select close_analytics(array['check_verdicts']::regclass[], '{}');
grant select on check_verdicts to service_role, authenticated;
create policy service on check_verdicts for select to service_role using (true);
create policy admins on check_verdicts for select to authenticated using ((select analytics_is_admin()));
comment on table check_verdicts is 'What each check found, for the newest runs of it.';

-- Of the tables that were there before, nothing changes for their owner and for whoever was granted something; signed-in
-- people get to read them, and the restrictive policy leaves admins of those. Where somebody had row-level security on
-- already, their policies stay, and admins join.
do $$
declare
    name text;
begin
    foreach name in array array[
        'raw_partitions', 'subscriber_daily_contributions', 'subscribers_insights_v2', 'sync_watermarks', 'sync_logs',
        'late_days', 'subscriber_profiles', 'subscriber_profile_changes', 'profile_snapshots'
    ] loop
        if not (select relrowsecurity from pg_class where oid = name::regclass) then
            execute format('alter table %I enable row level security', name);
            execute format('create policy whoever_was_granted on %I using (true) with check (true)', name);
        end if;
        execute format(
            'create policy admins on %I for select to authenticated using ((select analytics_is_admin()))', name
        );
        execute format(
            'create policy admins_alone on %I as restrictive to anon, authenticated using ((select analytics_is_admin()))',
            name
        );
        execute format('grant select on %I to authenticated', name);
    end loop;
end
$$;

-- What waits to be aggregated, by its day, and how far back raw rows go.
grant select (id, day) on analytics_dirty_days, analytics_dirty_cards to authenticated;
grant select (raw_floor) on analytics_retention to authenticated;
create policy admins on analytics_dirty_days for select to authenticated using ((select analytics_is_admin()));
create policy admins on analytics_dirty_cards for select to authenticated using ((select analytics_is_admin()));
create policy admins on analytics_retention for select to authenticated using ((select analytics_is_admin()));

-- A million subscribers are read by several processes at once; a function that is not said to bear it forbids that to
-- every query whose policies ask it.
alter function analytics_is_admin() parallel safe;
