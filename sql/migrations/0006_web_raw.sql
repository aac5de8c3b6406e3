-- Web events as they came (spec section 7), in partitions of one UTC week.
-- A page view or click may come before its session: nothing here refers to anything.

-- Before anything is made: the names that web analytics take, in all migrations, are free, and what they build on is as
-- they need it. Roles, auth.uid() and the tables of accounts are Supabase's and the application's where they are there;
-- those that are not are made, roles here, the others in 0012.
do $$
declare
    here constant oid := to_regnamespace(quote_ident(current_schema()));
    relations constant text[] := array[
        'analytics_events', 'analytics_sessions', 'analytics_page_views', 'analytics_clicks', 'analytics_retention',
        'analytics_dirty_hours', 'analytics_dirty_days', 'analytics_dirty_cards',
        'analytics_events_hourly_agg', 'analytics_events_daily_agg', 'analytics_events_daily_totals',
        'analytics_daily_user_stats', 'analytics_daily_group_stats', 'analytics_daily_contact_stats',
        'analytics_daily_group_contact_stats', 'analytics_daily_page_stats', 'analytics_daily_click_targets',
        'analytics_daily_members', 'analytics_progress',
        'analytics_summary', 'analytics_table_sizes', 'analytics_partitions', 'analytics_legacy_actions',
        'collector_write_keys'
    ];
    types constant text[] := relations || array['analytics_scope', 'analytics_day'];
    -- With whatever arguments: a call might find the other one.
    functions constant text[] := array[
        'close_analytics', 'make_analytics_partitions', 'mark_analytics_hours', 'mark_analytics_cards',
        'start_analytics_aggregation', 'note_analytics_progress', 'aggregate_analytics_hours', 'analytics_daily_rows',
        'analytics_levels', 'analytics_scopes', 'replace_analytics_members', 'analytics_joined', 'analytics_newcomers',
        'start_analytics_days', 'compute_analytics_days', 'aggregate_analytics_days', 'write_analytics_event_days',
        'aggregate_analytics_cards',
        'refuse_analytics_card_rows', 'write_analytics_card_days', 'write_analytics_card_parts', 'mark_analytics_day',
        'take_all_analytics_marks', 'aggregate_analytics_daily', 'backfill_aggregates', 'cleanup_old_raw_events',
        'analytics_known_days', 'analytics_floor_keeping', 'take_analytics_marks_before', 'lock_analytics_partitions',
        'analytics_event_totals', 'analytics_card_totals', 'analytics_is_admin', 'analytics_my_projects',
        'analytics_my_cards', 'analytics_ip_address', 'analytics_batch_fields', 'analytics_batch_limits',
        'analytics_batch_time', 'analytics_batch_data_problem', 'analytics_batch_quote', 'analytics_batch_problems',
        'ingest_analytics_batch', 'ingest_analytics_sessions', 'ingest_collected_events', 'ingest_collected_sessions'
    ];
    taken text;
    ways_out text;
    account_key text;
    unfit text;
    wanted text;
begin
    select
        string_agg(format('%s (%s)', name, kind), ', '),
        string_agg(format('alter %s %s rename to %I', kind, name, new_name), '; ')
    into taken, ways_out
    from (
        select
            case relkind
                when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
                when 'S' then 'sequence' when 'i' then 'index' else 'table'
            end as kind,
            quote_ident(relname) as name, relname || '_legacy' as new_name
        from pg_class
        where relnamespace = here and relname = any (relations) and relkind <> 'c'
        union all
        select 'type', quote_ident(typname), typname || '_legacy'
        from pg_type
        where typnamespace = here and typname = any (types)
            and not exists (select from pg_class where pg_class.oid = typrelid and relkind <> 'c')
        union all
        select case prokind when 'a' then 'aggregate' when 'p' then 'procedure' else 'function' end,
            pg_proc.oid::regprocedure::text, proname || '_legacy'
        from pg_proc
        where pronamespace = here and proname = any (functions)
        order by 1 desc, 2
    ) as thing;
    if taken is not null then
        raise exception using
            errcode = 'duplicate_object',
            message = format(
                'schema %I has these already, and web analytics make their own by these names: %s',
                current_schema(), taken
            ),
            hint = format(
                'Rename or drop them, and migrate again: %s; rows of an analytics_events can be brought over '
                'afterwards (docs/operations.md, "From the legacy form").', ways_out
            );
    end if;

    -- Accounts have keys of any one kind; people are auth.uid()'s.
    select case typcategory when 'S' then 'text' when 'N' then 'a number' else format_type(pg_type.oid, null) end
    into account_key
    from pg_class
    join pg_attribute on attrelid = pg_class.oid and attname = 'id'
    join pg_type on pg_type.oid = atttypid
    where relnamespace = here and relname = 'account';
    account_key := coalesce(account_key, 'uuid');
    select string_agg(
        case
            when type is null then format('%s.%s is missing', relation, field)
            when not readable then format('%s may not read %s', current_user, relation)
            else format('%s.%s is %s, and %s was expected', relation, field, type, expected)
        end, '; ' order by place
    )
    into unfit
    from (
        select
            needed.*, has_table_privilege(pg_class.oid, 'select') as readable,
            format_type(pg_type.oid, null) as type,
            case typcategory when 'S' then 'text' when 'N' then 'a number' else format_type(pg_type.oid, null) end
                as kind
        from (values
            (1, 'account', 'id', null), (2, 'account', 'user_id', 'uuid'),
            (3, 'project', 'project_id', null), (4, 'project', 'account_id', account_key),
            (5, 'account_collaborator', 'account_id', account_key), (6, 'account_collaborator', 'user_id', 'uuid'),
            (7, 'admin_users', 'user_id', 'uuid'),
            (8, 'card_owner', 'user_code', null), (9, 'card_owner', 'user_id', 'uuid')
        ) as needed (place, relation, field, expected)
        join pg_class on relnamespace = here and relname = relation
        left join pg_attribute on attrelid = pg_class.oid and attname = field and attnum > 0 and not attisdropped
        left join pg_type on pg_type.oid = atttypid
    ) as there
    where type is null or not readable or kind <> expected;
    if unfit is not null then
        raise exception using
            errcode = 'invalid_table_definition',
            message = format(
                'who may see what cannot be read from the tables of accounts in schema %I: %s', current_schema(), unfit
            ),
            hint = 'Expected are account (id, user_id uuid), project (project_id, account_id), account_collaborator '
                '(account_id, user_id uuid), admin_users (user_id uuid), card_owner (user_code, user_id uuid), each a '
                'table or a view; one that is missing is made. Add the columns, or rename the table and put a view in '
                'its place, and migrate again.';
    end if;

    select case
        when prorettype <> 'uuid'::regtype
            then format('auth.uid() returns %s, and uuid was expected', format_type(prorettype, null))
        when not (has_schema_privilege(pg_namespace.oid, 'usage') and has_function_privilege(pg_proc.oid, 'execute'))
            then format('%s may not call auth.uid()', current_user)
        when pg_proc.oid is null and not has_schema_privilege(pg_namespace.oid, 'create')
            then format('auth.uid() is missing, and %s may not create it in schema auth', current_user)
        when pg_namespace.oid is null and not has_database_privilege(current_database(), 'create')
            then format('auth.uid() is missing, and %s may not create a schema for it', current_user)
    end
    into unfit
    from (values ('auth')) as needed (schema)
    left join pg_namespace on nspname = needed.schema
    left join pg_proc on pronamespace = pg_namespace.oid and proname = 'uid' and pronargs = 0;
    if unfit is not null then
        raise exception using
            errcode = 'invalid_function_definition',
            message = unfit,
            hint = 'Have a function auth.uid() made that returns the signed-in user as uuid and that the migrating role '
                'may call, and migrate again.';
    end if;

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
                        hint = 'Have the roles anon, authenticated and service_role created (nologin), and migrate '
                            'again.';
            end;
        end if;
    end loop;
end
$$;

-- Each migration closes what it makes, and 0012 opens what is to be open: whatever default privileges gave (Supabase's
-- give every table, sequence and function to three roles) is taken back, and tables answer to policies alone. Functions
-- find our tables, not a caller's; only of plain SQL, called by the others, a search path would keep Postgres from
-- inlining them.
create function close_analytics(p_relations regclass[], p_functions regprocedure[])
returns void
language plpgsql
as $$
declare
    made record;
    everybody constant text := 'public, anon, authenticated, service_role';
begin
    for made in
        select pg_class.oid::regclass as name, relkind from pg_class where pg_class.oid = any (p_relations)
        union all
        select objid::regclass, 'S' from pg_depend              -- those of identity columns
        where classid = 'pg_class'::regclass and refclassid = 'pg_class'::regclass and deptype = 'i'
            and refobjid = any (p_relations)
            and exists (select from pg_class where pg_class.oid = objid and relkind = 'S')
    loop
        execute format(
            'revoke all on %s %s from %s',
            case made.relkind when 'S' then 'sequence' else 'table' end, made.name, everybody
        );
        if made.relkind in ('r', 'p') then
            execute format('alter table %s enable row level security', made.name);
        end if;
    end loop;
    for made in
        select pg_proc.oid::regprocedure as name, prosecdef or lanname = 'plpgsql' as has_path
        from pg_proc join pg_language on pg_language.oid = prolang
        where pg_proc.oid = any (p_functions)
    loop
        execute format('revoke all on function %s from %s', made.name, everybody);
        if made.has_path then
            execute format('alter function %s set search_path = %I, pg_temp', made.name, current_schema());
        end if;
    end loop;
end
$$;

create table analytics_events (
    id uuid not null default gen_random_uuid(),        -- UUIDv7 of the sender: sent again, it is the same row
    project_id text not null check (octet_length(project_id) between 1 and 200),
    visitor_id text not null check (octet_length(visitor_id) between 1 and 500),
    session_id text not null check (octet_length(session_id) between 1 and 200),
    event_type text not null check (octet_length(event_type) between 1 and 200),
    event_label text check (octet_length(event_label) <= 500),      -- '' and null are one label: none
    event_data jsonb not null default '{}',
    created_at timestamptz not null default now(),
    received_at timestamptz not null default now(),
    primary key (id, created_at)
) partition by range (created_at);
create index on analytics_events (project_id, created_at);

create table analytics_sessions (
    session_id text not null check (octet_length(session_id) between 1 and 200),
    user_code text not null check (octet_length(user_code) between 1 and 200),      -- the card's owner
    share_code text check (octet_length(share_code) <= 200),                        -- the group link it was opened by
    contact_id text check (octet_length(contact_id) <= 200),                        -- whom it was shared with
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    page_views integer not null default 0 check (page_views >= 0),
    clicks integer not null default 0 check (clicks >= 0),
    ip_address inet,
    user_agent text check (octet_length(user_agent) <= 2000),
    referrer text check (octet_length(referrer) <= 4000),
    primary key (session_id, first_seen),
    check (last_seen >= first_seen)
) partition by range (first_seen);
create index on analytics_sessions (user_code, first_seen);

create table analytics_page_views (
    id uuid not null default gen_random_uuid(),
    session_id text not null check (octet_length(session_id) between 1 and 200),
    user_code text not null check (octet_length(user_code) between 1 and 200),
    share_code text check (octet_length(share_code) <= 200),
    contact_id text check (octet_length(contact_id) <= 200),
    page_type text not null check (page_type in ('home', 'contact', 'profile', 'portfolio')),
    viewed_at timestamptz not null default now(),
    primary key (id, viewed_at)
) partition by range (viewed_at);
create index on analytics_page_views (user_code, viewed_at);

create table analytics_clicks (
    id uuid not null default gen_random_uuid(),
    session_id text not null check (octet_length(session_id) between 1 and 200),
    user_code text not null check (octet_length(user_code) between 1 and 200),
    share_code text check (octet_length(share_code) <= 200),
    contact_id text check (octet_length(contact_id) <= 200),
    click_target text check (octet_length(click_target) <= 500),
    click_category text not null check (
        click_category in ('contact', 'messaging', 'social', 'portfolio', 'aiAgent', 'other')
    ),
    clicked_at timestamptz not null default now(),
    primary key (id, clicked_at)
) partition by range (clicked_at);
create index on analytics_clicks (user_code, clicked_at);

-- Behind the floor there is no raw row any more, and aggregates stay as they are. Always the start of a partition.
-- Who aggregates holds the row FOR SHARE, retention writes it.
create table analytics_retention (
    only_row boolean primary key default true check (only_row),
    raw_floor timestamptz not null default '-infinity',
    -- A Monday, 00:00 UTC. In the middle of a week it would have counted rows behind it, which go when late ones do.
    check (raw_floor < 'infinity' and raw_floor = date_bin('7 days', raw_floor, '2001-01-01 00:00:00+00'))
);
insert into analytics_retention default values;

-- Makes the weeks that hold these days, in all four tables, and returns how many were missing. A table is made first
-- and attached then: that stops no writer, where CREATE TABLE ... PARTITION OF waits for all and holds up all.
-- There is no default partition on purpose: it would forbid DETACH CONCURRENTLY, and a row of the year 2099 or from
-- behind the floor is better refused.
create function make_analytics_partitions(p_from date, p_to date)
returns integer
language plpgsql
security definer
set timezone = 'UTC'            -- limits are written as text: neither the caller's zone nor style may change them
set datestyle = 'ISO'
as $$
declare
    raw text;
    week_start date;
    name text;
    grantee text;
    made integer := 0;
begin
    if (isfinite(p_from) and isfinite(p_to) and p_to - p_from between 0 and 3660) is not true then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'make_analytics_partitions: expected a first and a last day at most ten years apart, got %s and %s',
                coalesce(p_from::text, 'null'), coalesce(p_to::text, 'null')
            );
    end if;
    perform pg_advisory_xact_lock(7241010, 1);
    foreach raw in array array['analytics_events', 'analytics_sessions', 'analytics_page_views', 'analytics_clicks'] loop
        for week_start in
            select monday::date
            from generate_series(date_trunc('week', p_from::timestamp), p_to::timestamp, '7 days') as monday
            where monday at time zone 'UTC' >= (select raw_floor from analytics_retention)
        loop
            name := raw || to_char(week_start, '_YYYYMMDD');
            continue when exists (
                select from pg_inherits where inhrelid = to_regclass(name) and inhparent = raw::regclass
            );
            if to_regclass(name) is not null then
                raise exception using
                    errcode = 'duplicate_table',
                    message = format('make_analytics_partitions: %s is there and is no partition of %s, so its week has none', name, raw),
                    hint = format('Rename or drop it, or attach it (alter table %s attach partition ...), and run again.', raw);
            end if;
            execute format('create table %I (like %I including defaults including constraints including indexes)', name, raw);
            execute format(
                'alter table %I attach partition %I for values from (%L) to (%L)',
                raw, name, week_start::timestamp at time zone 'UTC', (week_start + 7)::timestamp at time zone 'UTC'
            );
            -- Partitions are nobody's: a write to one skips the marks, a read the parent's policies. Databases whose
            -- default privileges give new tables away (Supabase) are taken back what they gave.
            execute format('alter table %I enable row level security', name);
            for grantee in
                select distinct case when granted.grantee = 0 then 'public' else granted.grantee::regrole::text end
                from pg_class, aclexplode(relacl) as granted
                where pg_class.oid = name::regclass and granted.grantee <> relowner
            loop
                execute format('revoke all on %I from %s', name, grantee);
            end loop;
            made := made + 1;
        end loop;
    end loop;
    return made;
end
$$;

select close_analytics(
    array[
        'analytics_events', 'analytics_sessions', 'analytics_page_views', 'analytics_clicks', 'analytics_retention'
    ]::regclass[],
    array['close_analytics(regclass[], regprocedure[])', 'make_analytics_partitions(date, date)']::regprocedure[]
);

-- As much as a first backfill wants, and a month ahead.
select make_analytics_partitions((now() at time zone 'UTC')::date - 91, (now() at time zone 'UTC')::date + 31);

comment on table analytics_events is 'Web events: one row an event; event_data holds what has no column.';
comment on table analytics_sessions is 'Visits to cards; the counters are the sender''s, no aggregate uses them.';
comment on table analytics_page_views is 'Pages of cards that were seen.';
comment on table analytics_clicks is 'Clicks on cards.';
comment on table analytics_retention is 'raw_floor: behind it raw rows are gone and aggregates stay.';
comment on function make_analytics_partitions(date, date) is 'Makes the weekly partitions that hold these days.';
comment on function close_analytics(regclass[], regprocedure[]) is 'Takes all rights on what a migration made.';
