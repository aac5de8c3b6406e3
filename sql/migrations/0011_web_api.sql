-- What callers use: re-aggregation of days, retention, totals of ranges, views. A day is a UTC day.

-- Marks all that is or was in a day; answers whether the day may still be aggregated: not behind the raw floor.
create function mark_analytics_day(p_day date)
returns boolean
language plpgsql
security definer
as $$
declare
    day_start timestamptz := p_day::timestamp at time zone 'UTC';
    day_end timestamptz := (p_day + 1)::timestamp at time zone 'UTC';
begin
    if day_start < (select raw_floor from analytics_retention) then
        return false;
    end if;
    insert into analytics_dirty_hours (project_id, hour_bucket)
    select project_id, date_trunc('hour', created_at, 'UTC') from analytics_events
    where created_at >= day_start and created_at < day_end
    union
    select project_id, hour_bucket from analytics_events_hourly_agg
    where hour_bucket >= day_start and hour_bucket < day_end;

    insert into analytics_dirty_days (project_id, day)
    select project_id, day from analytics_events_daily_agg where day = p_day
    union
    select project_id, day from analytics_events_daily_totals where day = p_day
    union
    select owner, day from analytics_daily_members where scope in ('event visitors', 'event sessions') and day = p_day;

    insert into analytics_dirty_cards (user_code, day)
    select user_code, p_day from analytics_page_views where viewed_at >= day_start and viewed_at < day_end
    union
    select user_code, p_day from analytics_clicks where clicked_at >= day_start and clicked_at < day_end
    union
    select user_code, p_day from analytics_sessions where first_seen >= day_start and first_seen < day_end
    union
    select user_code, date from analytics_daily_user_stats where date = p_day
    union
    select user_code, date from analytics_daily_group_stats where date = p_day
    union
    select user_code, date from analytics_daily_contact_stats where date = p_day
    union
    select user_code, date from analytics_daily_group_contact_stats where date = p_day
    union
    select user_code, date from analytics_daily_page_stats where date = p_day
    union
    select user_code, date from analytics_daily_click_targets where date = p_day
    union
    select owner, day from analytics_daily_members where scope = 'card sessions' and day = p_day;
    return true;
end
$$;

-- Takes all marks there are, in one transaction.
create function take_all_analytics_marks(out buckets bigint, out written bigint, out refused bigint)
language plpgsql
security definer
as $$
declare
    hours record;
    days record;
    cards record;
    at_once constant integer := 100000;
begin
    buckets := 0; written := 0; refused := 0;
    loop
        select * into hours from aggregate_analytics_hours(at_once);
        buckets := buckets + hours.buckets; written := written + hours.written; refused := refused + hours.refused;
        exit when hours.taken < at_once;
    end loop;
    loop
        select * into days from aggregate_analytics_days(at_once);
        buckets := buckets + days.buckets; written := written + days.written;
        exit when days.taken < at_once;
    end loop;
    loop
        select * into cards from aggregate_analytics_cards(at_once);
        buckets := buckets + cards.buckets; written := written + cards.written; refused := refused + cards.refused;
        exit when cards.taken < at_once;
    end loop;
end
$$;

-- Aggregates a day again (default: yesterday), hours, days and cards, and whatever else is marked. Behind the raw
-- floor nothing is done: the aggregates are all there is.
create function aggregate_analytics_daily(p_date date default null)
returns json
language plpgsql
security definer
as $$
declare
    wanted date := coalesce(p_date, (now() at time zone 'UTC')::date - 1);
    done record;
begin
    perform start_analytics_aggregation('hours');           -- so that the floor stays from here on
    if not mark_analytics_day(wanted) then
        return json_build_object('date', wanted, 'behind_raw_floor', true, 'buckets', 0, 'rows_written', 0, 'late_rows_refused', 0);
    end if;
    select * into done from take_all_analytics_marks();
    return json_build_object(
        'date', wanted, 'behind_raw_floor', false,
        'buckets', done.buckets, 'rows_written', done.written, 'late_rows_refused', done.refused
    );
end
$$;

-- Aggregates all days from p_from to p_to, both included, in one transaction. The arguments are times so that dates,
-- as well as expressions such as current_date - interval '90 days', may be passed.
create function backfill_aggregates(p_from timestamptz, p_to timestamptz)
returns json
language plpgsql
security definer
as $$
declare
    day date;
    one json;
    days integer := 0;
    behind_floor integer := 0;
    buckets bigint := 0;
    written bigint := 0;
begin
    if not (isfinite(p_from) and isfinite(p_to)) or p_from > p_to then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('backfill_aggregates: expected a first and a last day, got %s and %s', p_from, p_to);
    end if;
    for day in select generate_series(p_from::date::timestamp, p_to::date::timestamp, '1 day')::date loop
        one := aggregate_analytics_daily(day);
        days := days + 1;
        behind_floor := behind_floor + (one ->> 'behind_raw_floor')::boolean::integer;
        buckets := buckets + (one ->> 'buckets')::bigint;
        written := written + (one ->> 'rows_written')::bigint;
    end loop;
    return json_build_object(
        'days', days, 'days_behind_raw_floor', behind_floor, 'buckets', buckets, 'rows_written', written
    );
end
$$;

-- Empties the partitions all of whose rows are older than so many days, and raises the raw floor to their end;
-- aggregates stay. What is marked in them is aggregated before. Only those partitions are locked, and for writers that
-- still hold one it waits five seconds at most; the empty partitions are dropped apart (DETACH CONCURRENTLY may not be
-- in a function).
create function cleanup_old_raw_events(days integer)
returns json
language plpgsql
security definer
set lock_timeout = '5s'
as $$
declare
    floor timestamptz;
    new_floor timestamptz;
    partition regclass;
    emptied integer := 0;
begin
    if days is null or days < 1 then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('cleanup_old_raw_events: expected how many days to keep, 1 or more, got %s', coalesce(days::text, 'null'));
    end if;
    new_floor := date_trunc('week', (now() at time zone 'UTC')::date - days) at time zone 'UTC';
    perform start_analytics_aggregation(kind) from unnest(array['hours', 'days', 'cards']) as kind;
    select raw_floor into strict floor from analytics_retention for update;
    new_floor := greatest(floor, new_floor);

    for partition in
        select leaf from analytics_partitions where week_end <= new_floor order by leaf::text
    loop
        execute format('lock table %s in access exclusive mode', partition);
    end loop;
    -- Nobody writes there any more; what was written is counted before it goes.
    perform take_all_analytics_marks();
    for partition in
        select leaf from analytics_partitions where week_end <= new_floor order by leaf::text
    loop
        execute format('truncate table %s', partition);
        emptied := emptied + 1;
    end loop;
    update analytics_retention set raw_floor = new_floor where raw_floor <> new_floor;
    delete from analytics_daily_members where day < (new_floor at time zone 'UTC')::date - 90;
    return json_build_object('raw_floor', new_floor, 'partitions_emptied', emptied);
end
$$;

create view analytics_partitions as
select
    parent.relname::text as raw_table,
    leaf.oid::regclass as leaf,
    substring(pg_get_expr(leaf.relpartbound, leaf.oid) from 'FROM \(''([^'']+)''\)')::timestamptz as week_start,
    substring(pg_get_expr(leaf.relpartbound, leaf.oid) from 'TO \(''([^'']+)''\)')::timestamptz as week_end,
    inhdetachpending as detach_pending
from pg_inherits
join pg_class as parent on parent.oid = inhparent
join pg_class as leaf on leaf.oid = inhrelid
where inhparent in (
    'analytics_events'::regclass, 'analytics_sessions'::regclass,
    'analytics_page_views'::regclass, 'analytics_clicks'::regclass
);

-- A project's events and exact uniques of the days from p_from to before p_to: for 'all', by 'type', by type and
-- 'label'. Days whose aggregates may still lack rows, today above all, are read from the raw tables.
create function analytics_event_totals(p_project_id text, p_from date, p_to date)
returns table (
    level text, event_type text, event_label text, event_count bigint, unique_visitors bigint, unique_sessions bigint
)
language plpgsql
stable
as $$
#variable_conflict use_column
declare
    live_from date;
begin
    if p_from is null or p_to is null or p_to - p_from not between 1 and 91 then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('analytics_event_totals: expected 1 to 91 days, got %s to before %s', p_from, p_to);
    end if;
    select case when isfinite(aggregated_until) then least(p_to, greatest(p_from, (aggregated_until at time zone 'UTC')::date)) else p_from end
    into strict live_from
    from analytics_progress where aggregate = 'days';

    return query
    with live as materialized (
        select event_type, nullif(event_label, '') as event_label, visitor_id, session_id from analytics_events
        where project_id = p_project_id
            and created_at >= live_from::timestamp at time zone 'UTC' and created_at < p_to::timestamp at time zone 'UTC'
    ), live_members as (
        select distinct
            scope, member, level,
            case when level <> 'all' then event_type end as event_type,
            case when level = 'label' then event_label end as event_label
        from live
        cross join lateral (
            values ('event visitors', visitor_id), ('event sessions', session_id)
        ) as seen (scope, member)
        cross join unnest(array['all', 'type', 'label']) as level
    ), live_newcomers as (
        select level, event_type, event_label,
            count(*) filter (where scope = 'event visitors') as visitors,
            count(*) filter (where scope = 'event sessions') as sessions
        from live_members
        where not exists (
            select from analytics_daily_members as earlier
            where earlier.scope = live_members.scope::analytics_scope and earlier.owner = p_project_id
                and earlier.member = live_members.member
                and earlier.day >= p_from and earlier.day < live_from
                and (level = 'all' or exists (
                    select from unnest(earlier.first_facets, earlier.second_facets) as facet (event_type, event_label)
                    where facet.event_type = live_members.event_type
                        and (level <> 'label' or facet.event_label = coalesce(live_members.event_label, ''))
                ))
        )
        group by 1, 2, 3
    ), parts as (
        select 'label' as level, event_type, event_label, event_count,
            newcomer_visitors[day - p_from + 1] as visitors, newcomer_sessions[day - p_from + 1] as sessions
        from analytics_events_daily_agg
        where project_id = p_project_id and day >= p_from and day < live_from
        union all
        select case when event_type is null then 'all' else 'type' end, event_type, null, event_count,
            newcomer_visitors[day - p_from + 1], newcomer_sessions[day - p_from + 1]
        from analytics_events_daily_totals
        where project_id = p_project_id and day >= p_from and day < live_from
        union all
        select
            case when grouping(event_label) = 0 then 'label' when grouping(event_type) = 0 then 'type' else 'all' end,
            event_type, event_label, count(*), 0, 0
        from live
        group by grouping sets ((), (event_type), (event_type, event_label))
        union all
        select level, event_type, event_label, 0, visitors, sessions from live_newcomers
    )
    select level, event_type, event_label,
        sum(event_count)::bigint, sum(visitors)::bigint, sum(sessions)::bigint
    from parts
    group by 1, 2, 3
    having sum(event_count) > 0
    order by 1, 2, 3;
end
$$;

-- A card's views, clicks and exact unique sessions of the days from p_from to before p_to: for 'all', by 'group', by
-- 'contact' and by 'group and contact'.
create function analytics_card_totals(p_user_code text, p_from date, p_to date)
returns table (
    level text, share_code text, contact_id text,
    page_views bigint, clicks bigint, sessions_started bigint, unique_sessions bigint
)
language plpgsql
stable
as $$
#variable_conflict use_column
begin
    if p_from is null or p_to is null or p_to - p_from not between 1 and 91 then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('analytics_card_totals: expected 1 to 91 days, got %s to before %s', p_from, p_to);
    end if;
    return query
    with parts as (
        select 'all' as level, null as share_code, null as contact_id, date,
            page_views, clicks, sessions_started, newcomer_sessions
        from analytics_daily_user_stats where user_code = p_user_code
        union all
        select 'group', share_code, null, date, page_views, clicks, sessions_started, newcomer_sessions
        from analytics_daily_group_stats where user_code = p_user_code
        union all
        select 'contact', null, contact_id, date, page_views, clicks, sessions_started, newcomer_sessions
        from analytics_daily_contact_stats where user_code = p_user_code
        union all
        select 'group and contact', share_code, contact_id, date,
            page_views, clicks, sessions_started, newcomer_sessions
        from analytics_daily_group_contact_stats where user_code = p_user_code
    )
    select level, share_code, contact_id,
        sum(page_views)::bigint, sum(clicks)::bigint, sum(sessions_started)::bigint,
        sum(newcomer_sessions[date - p_from + 1])::bigint
    from parts
    where date >= p_from and date < p_to
    group by 1, 2, 3
    order by 1, 2, 3;
end
$$;

-- How much was counted, and of which days; to everybody of what they may see.
create view analytics_summary with (security_invoker = true) as
select 'events' as what, coalesce(sum(event_count), 0)::bigint as counted, min(day) as first_day, max(day) as last_day
from analytics_events_daily_totals where event_type is null
union all
select 'page views', coalesce(sum(page_views), 0)::bigint, min(date) filter (where page_views > 0), max(date) filter (where page_views > 0)
from analytics_daily_user_stats
union all
select 'clicks', coalesce(sum(clicks), 0)::bigint, min(date) filter (where clicks > 0), max(date) filter (where clicks > 0)
from analytics_daily_user_stats
union all
select 'sessions', coalesce(sum(sessions_started), 0)::bigint, min(date) filter (where sessions_started > 0), max(date) filter (where sessions_started > 0)
from analytics_daily_user_stats;

create view analytics_table_sizes with (security_invoker = true) as
select
    parent.relname::text as tablename,
    pg_size_pretty(sum(pg_total_relation_size(part.oid))) as size,
    sum(pg_total_relation_size(part.oid))::bigint as bytes,
    sum(greatest(part.reltuples, 0)) filter (where part.relkind = 'r')::bigint as estimated_rows,
    count(*) filter (where part.relispartition) as partitions
from pg_class as parent
cross join lateral pg_partition_tree(parent.oid) as tree
join pg_class as part on part.oid = tree.relid
where not parent.relispartition and parent.relkind = 'p' and parent.relname ~ '^analytics_'
    and parent.relnamespace = (select relnamespace from pg_class where oid = 'analytics_events'::regclass)
group by parent.relname
union all
select
    relname::text, pg_size_pretty(pg_total_relation_size(oid)), pg_total_relation_size(oid),
    greatest(reltuples, 0)::bigint, 0
from pg_class
where relkind = 'r' and not relispartition and relname ~ '^analytics_'
    and relnamespace = (select relnamespace from pg_class where oid = 'analytics_events'::regclass)
order by bytes desc;

comment on function aggregate_analytics_daily(date) is 'Aggregates a UTC day again, by default yesterday, and all that is marked.';
comment on function backfill_aggregates(timestamptz, timestamptz) is 'Aggregates all days from the first to the last again.';
comment on function cleanup_old_raw_events(integer) is 'Empties raw partitions older than so many days; aggregates stay.';
comment on function analytics_event_totals(text, date, date) is 'Events and exact uniques of up to 91 days: all, by type, by label.';
comment on function analytics_card_totals(text, date, date) is 'A card''s counts and exact unique sessions of up to 91 days: all, by group, by contact, by both.';
comment on view analytics_summary is 'How much was counted, and of which days.';
comment on view analytics_table_sizes is 'The room that web analytics take.';
