-- Web events as they came (spec section 7), in partitions of one UTC week.
-- A page view or click may come before its session: nothing here refers to anything.

do $$
begin
    if to_regclass('analytics_events') is not null then
        raise exception using
            message = 'analytics_events is there already, and this migration makes it anew, in partitions',
            hint = 'Rename it to analytics_events_legacy, migrate, make its weeks by make_analytics_partitions(from, to) '
                'and insert its rows into the new table; the aggregates follow by themselves.';
    end if;
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

do $$
begin
    execute format('alter function make_analytics_partitions(date, date) set search_path = %I, pg_temp', current_schema());
end
$$;
revoke all on function make_analytics_partitions(date, date) from public;

-- As much as a first backfill wants, and a month ahead.
select make_analytics_partitions((now() at time zone 'UTC')::date - 91, (now() at time zone 'UTC')::date + 31);

comment on table analytics_events is 'Web events: one row an event; event_data holds what has no column.';
comment on table analytics_sessions is 'Visits to cards; the counters are the sender''s, no aggregate uses them.';
comment on table analytics_page_views is 'Pages of cards that were seen.';
comment on table analytics_clicks is 'Clicks on cards.';
comment on table analytics_retention is 'raw_floor: behind it raw rows are gone and aggregates stay.';
comment on function make_analytics_partitions(date, date) is 'Makes the weekly partitions that hold these days.';
