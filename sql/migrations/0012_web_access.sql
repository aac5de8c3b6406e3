-- Who sees what: owners and collaborators of an account its projects, a card's owners their card, admins all. Who
-- writes: the service role the raw tables, and nobody the aggregates, which only aggregation makes.
-- auth.uid() and the tables of accounts are Supabase's and the application's where they are: those are left as they
-- are, 0006 has looked at them. What is made here carries a comment, by which the rollback knows it.

do $$
declare
    here constant text := quote_ident(current_schema());
begin
    if to_regprocedure('auth.uid()') is null then
        create schema if not exists auth;
        create function auth.uid() returns uuid language sql stable
        return (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;
        comment on function auth.uid() is 'The signed-in user. Made by mixpanel-pipeline.';
        grant usage on schema auth to anon, authenticated, service_role;
    end if;

    if to_regclass(here || '.account') is null then
        create table account (id uuid primary key default gen_random_uuid(), user_id uuid not null);
        create index on account (user_id);
        comment on table account is 'Accounts and their owners. Made by mixpanel-pipeline.';
        perform close_analytics(array['account']::regclass[], '{}');
    end if;
    if to_regclass(here || '.project') is null then
        create table project (project_id text primary key, account_id uuid not null);
        create index on project (account_id);
        comment on table project is 'Projects and their accounts. Made by mixpanel-pipeline.';
        perform close_analytics(array['project']::regclass[], '{}');
    end if;
    if to_regclass(here || '.account_collaborator') is null then
        create table account_collaborator (account_id uuid not null, user_id uuid not null, primary key (user_id, account_id));
        comment on table account_collaborator is 'Who works with an account. Made by mixpanel-pipeline.';
        perform close_analytics(array['account_collaborator']::regclass[], '{}');
    end if;
    if to_regclass(here || '.admin_users') is null then
        create table admin_users (user_id uuid primary key);
        comment on table admin_users is 'Who sees everything. Made by mixpanel-pipeline.';
        perform close_analytics(array['admin_users']::regclass[], '{}');
    end if;
    if to_regclass(here || '.card_owner') is null then
        create table card_owner (user_code text not null, user_id uuid not null, primary key (user_id, user_code));
        comment on table card_owner is 'Whose card a user_code is. Made by mixpanel-pipeline.';
        perform close_analytics(array['card_owner']::regclass[], '{}');
    end if;
end
$$;

-- The caller's own sets, with the owner's rights and without an argument, so that a policy asks once a query and not
-- once a row: the caller sees nothing of accounts but these. The array is made once, and each partition's scan hashes
-- it: owners of 1 project and of 3,000 read 200,000 rows in 0.05 s alike. `= any (array(...))` goes through the array
-- for each row, 8 s at 3,000; `in (select ...)` alone asks again for each partition.
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

select close_analytics(
    '{}', array['analytics_is_admin()', 'analytics_my_projects()', 'analytics_my_cards()']::regprocedure[]
);
do $$
begin
    execute format('grant usage on schema %I to authenticated, service_role', current_schema());
end
$$;

-- The service role writes raw rows; aggregates come from its calls.
grant select, insert, update, delete on analytics_events, analytics_sessions, analytics_page_views, analytics_clicks
    to service_role;
grant select on
    analytics_events_hourly_agg, analytics_events_daily_agg, analytics_events_daily_totals,
    analytics_daily_user_stats, analytics_daily_group_stats, analytics_daily_contact_stats,
    analytics_daily_page_stats, analytics_daily_click_targets, analytics_daily_members,
    analytics_progress, analytics_retention, analytics_dirty_hours, analytics_dirty_days, analytics_dirty_cards,
    analytics_summary, analytics_table_sizes, analytics_partitions
    to service_role;
grant execute on function
    make_analytics_partitions(date, date),
    aggregate_analytics_hours(integer), aggregate_analytics_days(integer), aggregate_analytics_cards(integer),
    aggregate_analytics_daily(date), backfill_aggregates(timestamptz, timestamptz), cleanup_old_raw_events(integer),
    analytics_event_totals(text, date, date), analytics_card_totals(text, date, date)
    to service_role;

-- Signed-in people read what is theirs. Where visitors came from is not for them: address, browser and referrer, nor
-- event_data, in which the legacy form has all three.
grant select (id, project_id, visitor_id, session_id, event_type, event_label, created_at, received_at)
    on analytics_events to authenticated;
grant select (session_id, user_code, share_code, contact_id, first_seen, last_seen, page_views, clicks)
    on analytics_sessions to authenticated;
grant select on
    analytics_page_views, analytics_clicks,
    analytics_events_hourly_agg, analytics_events_daily_agg, analytics_events_daily_totals,
    analytics_daily_user_stats, analytics_daily_group_stats, analytics_daily_contact_stats,
    analytics_daily_page_stats, analytics_daily_click_targets, analytics_daily_members,
    analytics_progress, analytics_summary
    to authenticated;
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
                (select analytics_is_admin()) or project_id in (select unnest(array(select analytics_my_projects())))
            )', name
        );
    end loop;
    foreach name in array array[
        'analytics_sessions', 'analytics_page_views', 'analytics_clicks',
        'analytics_daily_user_stats', 'analytics_daily_group_stats', 'analytics_daily_contact_stats',
        'analytics_daily_page_stats', 'analytics_daily_click_targets'
    ] loop
        execute format(
            'create policy own_cards on %I for select to authenticated using (
                (select analytics_is_admin()) or user_code in (select unnest(array(select analytics_my_cards())))
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
        'analytics_daily_page_stats', 'analytics_daily_click_targets', 'analytics_daily_members',
        'analytics_progress', 'analytics_retention', 'analytics_dirty_hours', 'analytics_dirty_days', 'analytics_dirty_cards'
    ] loop
        execute format('create policy service on %I for select to service_role using (true)', name);
    end loop;
end
$$;

create policy own_members on analytics_daily_members for select to authenticated using (
    (select analytics_is_admin())
    or (
        scope in ('event visitors', 'event sessions')
        and owner in (select unnest(array(select analytics_my_projects())))
    )
    or (scope = 'card sessions' and owner in (select unnest(array(select analytics_my_cards()))))
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
