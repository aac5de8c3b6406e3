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
    if not isfinite(wanted) then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('aggregate_analytics_daily: expected a day, got %s', wanted);
    end if;
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

-- Aggregates all days from p_from to p_to, both included, in one transaction; days of which nothing can be known are
-- left out. The arguments are times so that dates, as well as expressions such as current_date - interval '90 days',
-- may be passed: those come as midnight of the caller's zone, now() comes as a moment. The UTC day that is meant is
-- among the days that both are, so both are taken, and the caller's zone is not changed here.
create function backfill_aggregates(p_from timestamptz, p_to timestamptz)
returns json
language plpgsql
security definer
as $$
declare
    day date;
    known record;
    one json;
    days integer := 0;
    behind_floor integer := 0;
    buckets bigint := 0;
    written bigint := 0;
begin
    if (isfinite(p_from) and isfinite(p_to) and p_from <= p_to) is not true then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'backfill_aggregates: expected a first and a last day, got %s and %s',
                coalesce(p_from::text, 'null'), coalesce(p_to::text, 'null')
            );
    end if;
    select * into known from analytics_known_days();
    for day in
        select generate_series(
            greatest(least(p_from::date, (p_from at time zone 'UTC')::date), known.first_day)::timestamp,
            least(greatest(p_to::date, (p_to at time zone 'UTC')::date), known.last_day)::timestamp,
            '1 day'
        )::date
    loop
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

-- The raw floor when so many days are kept: a Monday, 00:00 UTC, and never lower than it is.
create function analytics_floor_keeping(p_days integer)
returns timestamptz
language plpgsql
stable
as $$
begin
    if (p_days between 1 and 36500) is not true then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'cleanup_old_raw_events: expected how many days to keep, 1 or more and at most 36500, got %s',
                coalesce(p_days::text, 'null')
            );
    end if;
    return greatest(
        (select raw_floor from analytics_retention),
        -- Of a timestamp: of a date, date_trunc would give the week of the session's time zone.
        date_trunc('week', ((now() at time zone 'UTC')::date - p_days)::timestamp) at time zone 'UTC'
    );
end
$$;

-- Takes the marks of the times before p_before, hours, days and cards, and leaves all others.
create function take_analytics_marks_before(p_before timestamptz)
returns void
language plpgsql
as $$
declare
    day_before constant date := (p_before at time zone 'UTC')::date;
    at_once constant bigint := 100000;
    marks bigint;
    done bigint;
begin
    perform start_analytics_aggregation(kind) from unnest(array['hours', 'days', 'cards']) as kind;

    -- Aggregation takes the marks with the lowest ids, so these get lower ones than any other mark has.
    with mark as (
        delete from analytics_dirty_hours where hour_bucket < p_before returning project_id, hour_bucket
    )
    insert into analytics_dirty_hours (id, project_id, hour_bucket) overriding system value
    select -row_number() over (order by hour_bucket desc), project_id, hour_bucket from mark;
    get diagnostics marks = row_count;
    while marks > 0 loop
        select taken into done from aggregate_analytics_hours(least(marks, at_once)::integer);
        exit when done = 0;
        marks := marks - done;
    end loop;

    with mark as (
        delete from analytics_dirty_days where day < day_before returning project_id, day
    )
    insert into analytics_dirty_days (id, project_id, day) overriding system value
    select -row_number() over (order by day desc), project_id, day from mark;
    get diagnostics marks = row_count;
    while marks > 0 loop
        select taken into done from aggregate_analytics_days(least(marks, at_once)::integer);
        exit when done = 0;
        marks := marks - done;
    end loop;

    with mark as (
        delete from analytics_dirty_cards where day < day_before returning user_code, day
    )
    insert into analytics_dirty_cards (id, user_code, day) overriding system value
    select -row_number() over (order by day desc), user_code, day from mark;
    get diagnostics marks = row_count;
    while marks > 0 loop
        select taken into done from aggregate_analytics_cards(least(marks, at_once)::integer);
        exit when done = 0;
        marks := marks - done;
    end loop;
end
$$;

-- Locks partitions against everybody. It gives up sooner than a deadlock is looked for (deadlock_timeout), all waits
-- together: whoever holds one partition and comes for another is not the one that an error ends.
create function lock_analytics_partitions(p_leaves regclass[])
returns void
language plpgsql
as $$
declare
    lock_timeout constant text := current_setting('lock_timeout');
    until constant timestamptz := clock_timestamp() + 0.75 * interval '1 millisecond'
        * (select setting::integer from pg_settings where name = 'deadlock_timeout');
    leaf regclass;
    holders text;
begin
    foreach leaf in array p_leaves loop
        perform set_config(
            'lock_timeout', greatest(1, extract(epoch from until - clock_timestamp()) * 1000)::integer::text, true
        );
        begin
            execute format('lock table %s in access exclusive mode', leaf);
        exception when lock_not_available then
            select string_agg(distinct format('process %s (%s)', held.pid, coalesce(nullif(application_name, ''), usename)), ', ')
            into holders
            from pg_locks as held
            left join pg_stat_activity as activity using (pid)
            where held.relation = leaf and held.granted and held.pid is distinct from pg_backend_pid()
                and held.database = (select oid from pg_database where datname = current_database());
            raise exception using
                errcode = 'lock_not_available',
                message = format('cleanup_old_raw_events: %s is in use by %s; nothing was removed', leaf, coalesce(holders, 'nobody any more')),
                hint = 'Run it again when those transactions have ended (pg_stat_activity shows since when they are open).';
        end;
    end loop;
    perform set_config('lock_timeout', lock_timeout, true);
end
$$;

-- Empties the partitions all of whose rows are older than so many days, and raises the raw floor to their end;
-- aggregates stay. It waits as long as need be for an aggregation that runs, and counts what is marked in those weeks,
-- before it locks a table; then it locks those partitions, counts what came meanwhile, and empties them. The empty
-- partitions are dropped apart (DETACH CONCURRENTLY may not be in a function).
-- No row that was counted may stay behind the floor: with a late row of its hour it would be refused.
create function cleanup_old_raw_events(days integer)
returns json
language plpgsql
security definer
set timezone = 'UTC'            -- limits of partitions are read as text
set datestyle = 'ISO'
as $$
declare
    new_floor timestamptz := analytics_floor_keeping(days);
    leaves regclass[];
    odd text;
begin
    perform take_analytics_marks_before(new_floor);
    new_floor := analytics_floor_keeping(days);         -- from here on it stays

    select string_agg(leaf::text, ', ' order by leaf::text) into odd
    from analytics_partitions
    where coalesce(week_start, '-infinity') < new_floor and coalesce(week_end, 'infinity') > new_floor;
    if odd is not null then
        raise exception using
            errcode = 'object_not_in_prerequisite_state',
            message = format('cleanup_old_raw_events: expected partitions of one week, %s may have rows on both sides of %s', odd, new_floor),
            hint = 'Detach it, make its weeks by make_analytics_partitions(from, to), insert its rows into the parent, and run again.';
    end if;

    leaves := array(select leaf from analytics_partitions where week_end <= new_floor order by leaf::text);
    perform lock_analytics_partitions(leaves);
    perform take_analytics_marks_before(new_floor);
    for place in 1 .. cardinality(leaves) loop
        execute format('truncate table %s', leaves[place]);
        execute format('comment on table %s is %L', leaves[place], 'Emptied by retention, to be dropped.');
    end loop;
    update analytics_retention set raw_floor = new_floor where raw_floor <> new_floor;
    delete from analytics_daily_members where day < (new_floor at time zone 'UTC')::date - 90;
    return json_build_object('raw_floor', new_floor, 'partitions_emptied', cardinality(leaves));
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

-- The days that may have raw rows or aggregates; null when there is no partition and no aggregate.
create function analytics_known_days(out first_day date, out last_day date)
language sql
stable
set timezone = 'UTC'
set datestyle = 'ISO'
as $$
    select min(day), max(day)
    from (
        select (min(week_start) at time zone 'UTC')::date as day from analytics_partitions
        union all select (max(week_end) at time zone 'UTC')::date - 1 from analytics_partitions
        union all select (min(hour_bucket) at time zone 'UTC')::date from analytics_events_hourly_agg
        union all select (max(hour_bucket) at time zone 'UTC')::date from analytics_events_hourly_agg
        union all select min(day) from analytics_events_daily_agg
        union all select max(day) from analytics_events_daily_agg
        union all select min(day) from analytics_events_daily_totals
        union all select max(day) from analytics_events_daily_totals
        union all select min(date) from analytics_daily_user_stats
        union all select max(date) from analytics_daily_user_stats
        union all select min(date) from analytics_daily_group_stats
        union all select max(date) from analytics_daily_group_stats
        union all select min(date) from analytics_daily_contact_stats
        union all select max(date) from analytics_daily_contact_stats
        union all select min(date) from analytics_daily_page_stats
        union all select max(date) from analytics_daily_page_stats
        union all select min(date) from analytics_daily_click_targets
        union all select max(date) from analytics_daily_click_targets
        union all
        select seen.day
        from unnest(enum_range(null::analytics_scope)) as kind
        cross join lateral (
            select unnest(array[min(day), max(day)]) as day from analytics_daily_members where scope = kind
        ) as seen
    ) as known
$$;

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
    if (isfinite(p_from) and isfinite(p_to) and p_to - p_from between 1 and 91) is not true then
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
    ), seen_before as (
        select live_member.scope, member, facet.event_type, nullif(facet.event_label, '') as event_label
        from (select distinct scope, member from live_members) as live_member
        join analytics_daily_members as earlier using (member)
        cross join lateral unnest(first_facets, second_facets) as facet (event_type, event_label)
        where earlier.scope = live_member.scope::analytics_scope and earlier.owner = p_project_id
            and earlier.day >= p_from and earlier.day < live_from
    ), live_newcomers as (
        -- Grouped, not looked up one by one: a member may have thousands of labels on each of many days.
        select level, event_type, event_label,
            count(*) filter (where scope = 'event visitors') as visitors,
            count(*) filter (where scope = 'event sessions') as sessions
        from (
            select scope, member, level, event_type, event_label
            from (
                select scope, member, level, event_type, event_label, true as live from live_members
                union all
                select scope, member, level,
                    case when level <> 'all' then event_type end,
                    case when level = 'label' then event_label end,
                    false
                from seen_before
                cross join unnest(array['all', 'type', 'label']) as level
            ) as member_seen
            group by 1, 2, 3, 4, 5
            having bool_and(live)
        ) as newcomer
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
-- 'contact' and by 'group and contact'. Days whose aggregates may still lack rows are read from the raw tables, as above.
create function analytics_card_totals(p_user_code text, p_from date, p_to date)
returns table (
    level text, share_code text, contact_id text,
    page_views bigint, clicks bigint, sessions_started bigint, unique_sessions bigint
)
language plpgsql
stable
as $$
#variable_conflict use_column
declare
    live_from date;
    live_start timestamptz;
    live_end timestamptz := p_to::timestamp at time zone 'UTC';
begin
    if (isfinite(p_from) and isfinite(p_to) and p_to - p_from between 1 and 91) is not true then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('analytics_card_totals: expected 1 to 91 days, got %s to before %s', p_from, p_to);
    end if;
    select case when isfinite(aggregated_until) then least(p_to, greatest(p_from, (aggregated_until at time zone 'UTC')::date)) else p_from end
    into strict live_from
    from analytics_progress where aggregate = 'cards';
    live_start := live_from::timestamp at time zone 'UTC';

    return query
    with live as materialized (
        select 'page view' as action, viewed_at as at, session_id,
            nullif(share_code, '') as share_code, nullif(contact_id, '') as contact_id
        from analytics_page_views
        where user_code = p_user_code and viewed_at >= live_start and viewed_at < live_end
        union all
        select 'click', clicked_at, session_id, nullif(share_code, ''), nullif(contact_id, '')
        from analytics_clicks
        where user_code = p_user_code and clicked_at >= live_start and clicked_at < live_end
        union all
        select 'start', first_seen, session_id, nullif(share_code, ''), nullif(contact_id, '')
        from analytics_sessions
        where user_code = p_user_code and first_seen >= live_start and first_seen < live_end
    ), live_by_level as materialized (
        select
            level, action, (at at time zone 'UTC')::date as day, session_id,
            case when level in ('group', 'group and contact') then share_code end as share_code,
            case when level in ('contact', 'group and contact') then contact_id end as contact_id
        from live
        cross join unnest(array['all', 'group', 'contact', 'group and contact']) as level
    ), seen_before as (
        select member as session_id, nullif(facet.share_code, '') as share_code, nullif(facet.contact_id, '') as contact_id
        from (select distinct session_id from live) as live_session
        join analytics_daily_members as earlier on earlier.member = live_session.session_id
        cross join lateral unnest(first_facets, second_facets) as facet (share_code, contact_id)
        where earlier.scope = 'card sessions' and earlier.owner = p_user_code
            and earlier.day >= p_from and earlier.day < live_from
    ), live_newcomers as (
        select level, share_code, contact_id, count(*) as sessions
        from (
            select session_id, level, share_code, contact_id
            from (
                select session_id, level, share_code, contact_id, true as live from live_by_level
                union all
                select session_id, level,
                    case when level in ('group', 'group and contact') then share_code end,
                    case when level in ('contact', 'group and contact') then contact_id end,
                    false
                from seen_before
                cross join unnest(array['all', 'group', 'contact', 'group and contact']) as level
            ) as session_seen
            group by 1, 2, 3, 4
            having bool_and(live)
        ) as newcomer
        group by 1, 2, 3
    ), stored as (
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
    ), parts as (
        select level, share_code, contact_id, page_views, clicks, sessions_started,
            newcomer_sessions[date - p_from + 1] as sessions
        from stored
        where date >= p_from and date < live_from
        union all
        select level, share_code, contact_id,
            count(*) filter (where action = 'page view'), count(*) filter (where action = 'click'),
            count(distinct (day, session_id)) filter (where action = 'start'), 0
        from live_by_level
        group by 1, 2, 3
        union all
        select level, share_code, contact_id, 0, 0, 0, sessions from live_newcomers
    )
    select level, share_code, contact_id,
        sum(page_views)::bigint, sum(clicks)::bigint, sum(sessions_started)::bigint, sum(sessions)::bigint
    from parts
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

select close_analytics(
    array['analytics_partitions', 'analytics_summary', 'analytics_table_sizes']::regclass[],
    array[
        'mark_analytics_day(date)', 'take_all_analytics_marks()', 'aggregate_analytics_daily(date)',
        'backfill_aggregates(timestamptz, timestamptz)', 'analytics_known_days()',
        'analytics_floor_keeping(integer)', 'take_analytics_marks_before(timestamptz)',
        'lock_analytics_partitions(regclass[])', 'cleanup_old_raw_events(integer)',
        'analytics_event_totals(text, date, date)', 'analytics_card_totals(text, date, date)'
    ]::regprocedure[]
);

comment on function aggregate_analytics_daily(date) is 'Aggregates a UTC day again, by default yesterday, and all that is marked.';
comment on function backfill_aggregates(timestamptz, timestamptz) is 'Aggregates all days from the first to the last again.';
comment on function cleanup_old_raw_events(integer) is 'Empties raw partitions older than so many days; aggregates stay.';
comment on function analytics_event_totals(text, date, date) is 'Events and exact uniques of up to 91 days: all, by type, by label.';
comment on function analytics_card_totals(text, date, date) is 'A card''s counts and exact unique sessions of up to 91 days: all, by group, by contact, by both.';
comment on view analytics_summary is 'How much was counted, and of which days.';
comment on view analytics_table_sizes is 'The room that web analytics take.';
