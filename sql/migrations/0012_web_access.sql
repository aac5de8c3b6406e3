-- Who sees what: owners and collaborators of an account its projects, a card's owners their card, admins all. Who
-- writes: the service role the raw tables, and nobody the aggregates, which only aggregation makes.
-- Roles, auth.uid() and the tables of accounts are Supabase's and the application's where they are: those are left as
-- they are. What is made here carries a comment, by which the rollback knows it.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception
                when duplicate_object or unique_violation then null;    -- another database's migration was faster
                when insufficient_privilege then
                    raise exception using
                        errcode = 'insufficient_privilege',
                        message = format('role %s is missing, and %s may not create it', wanted, current_user),
                        hint = 'Have the roles anon, authenticated and service_role created (nologin), and migrate again.';
            end;
        end if;
    end loop;
    if to_regprocedure('auth.uid()') is null then
        create schema if not exists auth;
        create function auth.uid() returns uuid language sql stable
        return (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;
        comment on function auth.uid() is 'The signed-in user. Made by mixpanel-pipeline.';
        grant usage on schema auth to anon, authenticated, service_role;
    end if;

    if to_regclass('account') is null then
        create table account (id uuid primary key default gen_random_uuid(), user_id uuid not null);
        create index on account (user_id);
        comment on table account is 'Accounts and their owners. Made by mixpanel-pipeline.';
    end if;
    if to_regclass('project') is null then
        create table project (project_id text primary key, account_id uuid not null);
        create index on project (account_id);
        comment on table project is 'Projects and their accounts. Made by mixpanel-pipeline.';
    end if;
    if to_regclass('account_collaborator') is null then
        create table account_collaborator (account_id uuid not null, user_id uuid not null, primary key (user_id, account_id));
        comment on table account_collaborator is 'Who works with an account. Made by mixpanel-pipeline.';
    end if;
    if to_regclass('admin_users') is null then
        create table admin_users (user_id uuid primary key);
        comment on table admin_users is 'Who sees everything. Made by mixpanel-pipeline.';
    end if;
    if to_regclass('card_owner') is null then
        create table card_owner (user_code text not null, user_id uuid not null, primary key (user_id, user_code));
        comment on table card_owner is 'Whose card a user_code is. Made by mixpanel-pipeline.';
    end if;
end
$$;

-- The caller's own sets, with the owner's rights and without an argument, so that a policy asks once a query and not
-- once a row: the caller sees nothing of accounts but these.
create function analytics_is_admin() returns boolean
language sql stable security definer
as $$ select exists (select from admin_users where user_id = (select auth.uid())) $$;

create function analytics_my_projects() returns setof text
language sql stable security definer
as $$
    select project_id::text from project
    where account_id in (
        select id from account where user_id = (select auth.uid())
        union all
        select account_id from account_collaborator where user_id = (select auth.uid())
    )
$$;

create function analytics_my_cards() returns setof text
language sql stable security definer
as $$ select user_code::text from card_owner where user_id = (select auth.uid()) $$;

do $$
declare
    name text;
    function regprocedure;
    grantee text;
begin
    -- Nobody has anything but what is granted below, whatever the database's default privileges gave.
    for name in
        select relname from pg_class
        where relnamespace = (select relnamespace from pg_class where oid = 'analytics_events'::regclass)
            and relkind in ('r', 'p', 'v') and not relispartition
            and (relname ~ '^analytics_' or obj_description(oid, 'pg_class') ~ 'Made by mixpanel-pipeline\.$')
    loop
        execute format('revoke all on %I from public, anon, authenticated, service_role', name);
        if (select relkind <> 'v' from pg_class where oid = name::regclass) then
            execute format('alter table %I enable row level security', name);
        end if;
    end loop;
    for name in
        select relname from pg_class
        where relnamespace = (select relnamespace from pg_class where oid = 'analytics_events'::regclass)
            and relkind = 'S' and relname ~ '^analytics_dirty_'
    loop
        execute format('revoke all on sequence %I from public, anon, authenticated, service_role', name);
    end loop;
    for function in
        select oid from pg_proc
        where pronamespace = (select relnamespace from pg_class where oid = 'analytics_events'::regclass)
            and proname ~ '(^|_)analytics(_|$)|^(backfill_aggregates|cleanup_old_raw_events)$'
    loop
        execute format('revoke all on function %s from public, anon, authenticated, service_role', function);
    end loop;

    -- Functions with their owner's rights find our tables, not a caller's; the helpers below them inherit the path.
    foreach function in array array[
        'aggregate_analytics_hours(integer)', 'aggregate_analytics_days(integer)', 'aggregate_analytics_cards(integer)',
        'mark_analytics_day(date)', 'take_all_analytics_marks()', 'aggregate_analytics_daily(date)',
        'backfill_aggregates(timestamptz, timestamptz)', 'cleanup_old_raw_events(integer)',
        'analytics_event_totals(text, date, date)', 'analytics_card_totals(text, date, date)',
        'analytics_is_admin()', 'analytics_my_projects()', 'analytics_my_cards()'
    ]::regprocedure[] loop
        execute format('alter function %s set search_path = pg_catalog, %I, pg_temp', function, current_schema());
    end loop;
    execute format('grant usage on schema %I to authenticated, service_role', current_schema());
end
$$;

-- The service role writes raw rows; aggregates come from its calls.
grant select, insert, update, delete on analytics_events, analytics_sessions, analytics_page_views, analytics_clicks
    to service_role;
grant select on
    analytics_events_hourly_agg, analytics_events_daily_agg, analytics_events_daily_totals,
    analytics_daily_user_stats, analytics_daily_group_stats, analytics_daily_contact_stats,
    analytics_daily_group_contact_stats, analytics_daily_page_stats, analytics_daily_click_targets, analytics_daily_members,
    analytics_progress, analytics_retention, analytics_dirty_hours, analytics_dirty_days, analytics_dirty_cards,
    analytics_summary, analytics_table_sizes, analytics_partitions
    to service_role;
grant execute on function
    make_analytics_partitions(date, date),
    aggregate_analytics_hours(integer), aggregate_analytics_days(integer), aggregate_analytics_cards(integer),
    aggregate_analytics_daily(date), backfill_aggregates(timestamptz, timestamptz), cleanup_old_raw_events(integer),
    analytics_event_totals(text, date, date), analytics_card_totals(text, date, date)
    to service_role;

-- Signed-in people read what is theirs. Where visitors came from is not for them.
grant select on
    analytics_events, analytics_page_views, analytics_clicks,
    analytics_events_hourly_agg, analytics_events_daily_agg, analytics_events_daily_totals,
    analytics_daily_user_stats, analytics_daily_group_stats, analytics_daily_contact_stats,
    analytics_daily_group_contact_stats, analytics_daily_page_stats, analytics_daily_click_targets, analytics_daily_members,
    analytics_progress, analytics_summary
    to authenticated;
grant select (session_id, user_code, share_code, contact_id, first_seen, last_seen, page_views, clicks, referrer)
    on analytics_sessions to authenticated;
grant execute on function
    analytics_is_admin(), analytics_my_projects(), analytics_my_cards(),
    analytics_event_totals(text, date, date), analytics_card_totals(text, date, date)
    to authenticated;

do $$
declare
    name text;
begin
    foreach name in array array[
        'analytics_events', 'analytics_events_hourly_agg', 'analytics_events_daily_agg', 'analytics_events_daily_totals'
    ] loop
        execute format(
            'create policy own_projects on %I for select to authenticated using (
                (select analytics_is_admin()) or project_id = any (array(select analytics_my_projects()))
            )', name
        );
    end loop;
    foreach name in array array[
        'analytics_sessions', 'analytics_page_views', 'analytics_clicks',
        'analytics_daily_user_stats', 'analytics_daily_group_stats', 'analytics_daily_contact_stats',
        'analytics_daily_group_contact_stats', 'analytics_daily_page_stats', 'analytics_daily_click_targets'
    ] loop
        execute format(
            'create policy own_cards on %I for select to authenticated using (
                (select analytics_is_admin()) or user_code = any (array(select analytics_my_cards()))
            )', name
        );
    end loop;
    -- Supabase's service role passes every policy by; one of another make does by these.
    foreach name in array array['analytics_events', 'analytics_sessions', 'analytics_page_views', 'analytics_clicks'] loop
        execute format('create policy service on %I to service_role using (true) with check (true)', name);
    end loop;
    foreach name in array array[
        'analytics_events_hourly_agg', 'analytics_events_daily_agg', 'analytics_events_daily_totals',
        'analytics_daily_user_stats', 'analytics_daily_group_stats', 'analytics_daily_contact_stats',
        'analytics_daily_group_contact_stats', 'analytics_daily_page_stats', 'analytics_daily_click_targets', 'analytics_daily_members',
        'analytics_progress', 'analytics_retention', 'analytics_dirty_hours', 'analytics_dirty_days', 'analytics_dirty_cards'
    ] loop
        execute format('create policy service on %I for select to service_role using (true)', name);
    end loop;
end
$$;

create policy own_members on analytics_daily_members for select to authenticated using (
    (select analytics_is_admin())
    or (scope in ('event visitors', 'event sessions') and owner = any (array(select analytics_my_projects())))
    or (scope = 'card sessions' and owner = any (array(select analytics_my_cards())))
);
create policy everybody_signed_in on analytics_progress for select to authenticated using (true);

-- The service role keeps the application's tables of accounts where they are ours.
do $$
declare
    name text;
begin
    foreach name in array array['account', 'project', 'account_collaborator', 'admin_users', 'card_owner'] loop
        if obj_description(name::regclass, 'pg_class') ~ 'Made by mixpanel-pipeline\.$' then
            execute format('grant select, insert, update, delete on %I to service_role', name);
            execute format('create policy service on %I to service_role using (true) with check (true)', name);
        end if;
    end loop;
end
$$;

comment on function analytics_is_admin() is 'Whether the signed-in user sees everything.';
comment on function analytics_my_projects() is 'Projects of the signed-in user.';
comment on function analytics_my_cards() is 'Cards of the signed-in user.';
