-- What dashboards read. Buckets are UTC's. A missing label, share code or contact is a group like any other, and one
-- group only: keys are unique with nulls not distinct.
--
-- Unique people are never summed. newcomer_visitors[k + 1] is how many of a day's visitors were not seen in the k days
-- before it, k from 0 to 90; the uniques of any days [a, b), at most 91, are the sum of newcomer_visitors[day - a + 1].
--
-- Besides its key each has an index by time alone: backfill and reconciliation read a day of everybody's, for which
-- PostgreSQL 15 to 17 would read all of the key's index.

create table analytics_events_hourly_agg (
    project_id text not null,
    event_type text not null,
    event_label text,
    hour_bucket timestamptz not null,
    event_count bigint not null,
    unique_visitors bigint not null,
    unique_sessions bigint not null,
    updated_at timestamptz not null default now(),
    unique nulls not distinct (project_id, hour_bucket, event_type, event_label)
);
create index on analytics_events_hourly_agg (hour_bucket);

create table analytics_events_daily_agg (
    project_id text not null,
    event_type text not null,
    event_label text,
    day date not null,
    event_count bigint not null,
    unique_visitors bigint not null generated always as (newcomer_visitors[1]) stored,
    unique_sessions bigint not null generated always as (newcomer_sessions[1]) stored,
    newcomer_visitors integer[] not null check (cardinality(newcomer_visitors) = 91),
    newcomer_sessions integer[] not null check (cardinality(newcomer_sessions) = 91),
    updated_at timestamptz not null default now(),
    unique nulls not distinct (project_id, day, event_type, event_label)
);
create index on analytics_events_daily_agg (day);

-- Over all labels, and, with a null event_type, over all types: uniques do not add up from the rows above.
create table analytics_events_daily_totals (
    project_id text not null,
    event_type text,
    day date not null,
    event_count bigint not null,
    unique_visitors bigint not null generated always as (newcomer_visitors[1]) stored,
    unique_sessions bigint not null generated always as (newcomer_sessions[1]) stored,
    newcomer_visitors integer[] not null check (cardinality(newcomer_visitors) = 91),
    newcomer_sessions integer[] not null check (cardinality(newcomer_sessions) = 91),
    updated_at timestamptz not null default now(),
    unique nulls not distinct (project_id, day, event_type)
);
create index on analytics_events_daily_totals (day);

create table analytics_daily_user_stats (
    user_code text not null,
    date date not null,
    page_views bigint not null,
    clicks bigint not null,
    sessions_started bigint not null,
    unique_sessions bigint not null generated always as (newcomer_sessions[1]) stored,
    newcomer_sessions integer[] not null check (cardinality(newcomer_sessions) = 91),
    updated_at timestamptz not null default now(),
    primary key (user_code, date)
);
create index on analytics_daily_user_stats (date);

create table analytics_daily_group_stats (
    user_code text not null,
    share_code text,
    date date not null,
    page_views bigint not null,
    clicks bigint not null,
    sessions_started bigint not null,
    unique_sessions bigint not null generated always as (newcomer_sessions[1]) stored,
    newcomer_sessions integer[] not null check (cardinality(newcomer_sessions) = 91),
    updated_at timestamptz not null default now(),
    unique nulls not distinct (user_code, date, share_code)
);
create index on analytics_daily_group_stats (date);

create table analytics_daily_contact_stats (
    user_code text not null,
    contact_id text,
    date date not null,
    page_views bigint not null,
    clicks bigint not null,
    sessions_started bigint not null,
    unique_sessions bigint not null generated always as (newcomer_sessions[1]) stored,
    newcomer_sessions integer[] not null check (cardinality(newcomer_sessions) = 91),
    updated_at timestamptz not null default now(),
    unique nulls not distinct (user_code, date, contact_id)
);
create index on analytics_daily_contact_stats (date);

-- For the filter by group and contact at once: its uniques do not follow from the two tables above.
create table analytics_daily_group_contact_stats (
    user_code text not null,
    share_code text,
    contact_id text,
    date date not null,
    page_views bigint not null,
    clicks bigint not null,
    sessions_started bigint not null,
    unique_sessions bigint not null generated always as (newcomer_sessions[1]) stored,
    newcomer_sessions integer[] not null check (cardinality(newcomer_sessions) = 91),
    updated_at timestamptz not null default now(),
    unique nulls not distinct (user_code, date, share_code, contact_id)
);

-- By group and contact too, so that every filter has its counts; these add up.
create table analytics_daily_page_stats (
    user_code text not null,
    share_code text,
    contact_id text,
    page_type text not null,
    date date not null,
    page_views bigint not null,
    updated_at timestamptz not null default now(),
    unique nulls not distinct (user_code, date, page_type, share_code, contact_id)
);
create index on analytics_daily_page_stats (date);

create table analytics_daily_click_targets (
    user_code text not null,
    share_code text,
    contact_id text,
    click_category text not null,
    click_target text,
    date date not null,
    clicks bigint not null,
    updated_at timestamptz not null default now(),
    unique nulls not distinct (user_code, date, click_category, click_target, share_code, contact_id)
);
create index on analytics_daily_click_targets (date);

-- Who was seen on which day, from which newcomers are counted. Rows stay for 90 days behind the raw floor: a day at
-- the floor looks back that far.
create type analytics_scope as enum ('event visitors', 'event sessions', 'card sessions');

create table analytics_daily_members (
    scope analytics_scope not null,
    day date not null,
    owner text not null,                   -- project_id, or a card's user_code
    member text not null,                  -- visitor_id or session_id
    first_facets text[] not null,          -- event_types, or share_codes, and at the same places in
    second_facets text[] not null,         -- event_labels, or contact_ids: each pair once; '' is none
    primary key (scope, owner, member, day),
    check (cardinality(first_facets) > 0 and cardinality(first_facets) = cardinality(second_facets))
);
-- The key finds a member's days; this, with many rows to an entry and so next to nothing in size, a day's members.
-- It begins with the day so that it serves nothing else.
create index on analytics_daily_members (day, scope, owner);

-- Up to when a kind of aggregate holds all that had committed; the time after is read from the raw tables.
create table analytics_progress (
    aggregate text primary key,
    aggregated_until timestamptz not null default '-infinity',
    last_run_at timestamptz,
    refused_rows bigint not null default 0          -- they came for a time behind the raw floor, and were removed
);
insert into analytics_progress (aggregate) values ('hours'), ('days'), ('cards');

select close_analytics(
    array[
        'analytics_events_hourly_agg', 'analytics_events_daily_agg', 'analytics_events_daily_totals',
        'analytics_daily_user_stats', 'analytics_daily_group_stats', 'analytics_daily_contact_stats',
        'analytics_daily_group_contact_stats', 'analytics_daily_page_stats', 'analytics_daily_click_targets',
        'analytics_daily_members', 'analytics_progress'
    ]::regclass[],
    '{}'
);

comment on table analytics_events_hourly_agg is 'Events by project, UTC hour, type and label.';
comment on table analytics_events_daily_agg is 'Events by project, UTC day, type and label; newcomers give exact uniques over ranges.';
comment on table analytics_events_daily_totals is 'Events by project and UTC day, for all types (null) and by type.';
comment on table analytics_daily_user_stats is 'Views, clicks and sessions by card and UTC day.';
comment on table analytics_daily_group_stats is 'Views, clicks and sessions by card, group link (null: none) and UTC day.';
comment on table analytics_daily_contact_stats is 'Views, clicks and sessions by card, contact (null: none) and UTC day.';
comment on table analytics_daily_group_contact_stats is 'Views, clicks and sessions by card, group link, contact and UTC day.';
comment on table analytics_daily_page_stats is 'Views by card, page, group link, contact and UTC day.';
comment on table analytics_daily_click_targets is 'Clicks by card, category, target, group link, contact and UTC day.';
comment on table analytics_daily_members is 'Who was seen on which day: the ground of newcomers.';
comment on table analytics_progress is 'How far each kind of aggregate has come, and how many late rows it refused.';
