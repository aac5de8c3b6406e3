-- Aggregation: takes marks, computes their buckets again from the raw rows, writes what changed and deletes what is
-- stale. A call is one transaction's work; a crash leaves the marks and the old buckets, and the next call does it all.

-- One aggregation of a kind at a time; the order hours, days, cards is everybody's. Answers with the raw floor, which
-- stays where it is until the transaction ends.
create function start_analytics_aggregation(p_kind text)
returns timestamptz
language plpgsql
as $$
declare
    floor timestamptz;
begin
    -- Having waited for its turn, aggregation must see what the one before it wrote: an older snapshot would not.
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = 'invalid_transaction_state',
            message = format('aggregation needs READ COMMITTED, this transaction is %s', upper(current_setting('transaction_isolation')));
    end if;
    perform pg_advisory_xact_lock(7241011, array_position(array['hours', 'days', 'cards'], p_kind));
    select raw_floor into strict floor from analytics_retention for share;
    return floor;
end
$$;

create function note_analytics_progress(p_kind text, p_until timestamptz, p_refused bigint)
returns void
language sql
as $$
    update analytics_progress set
        aggregated_until = greatest(aggregated_until, p_until),
        last_run_at = clock_timestamp(),
        refused_rows = refused_rows + p_refused
    where aggregate = p_kind;
$$;

-- Aggregation is few and large statements: each is planned for the buckets it has, a day is sorted in memory where it
-- can be, and compiling costs more than it saves.
-- Events by hour: takes the first p_limit marks, and all others of their buckets, so that a bucket is computed once
-- however many marks it has; hands the days on.
create function aggregate_analytics_hours(
    p_limit integer default 5000,
    out taken bigint, out buckets bigint, out written bigint, out refused bigint
)
language plpgsql
security definer
set plan_cache_mode = force_custom_plan
set work_mem = '128MB'
set jit = off
as $$
declare
    floor timestamptz := start_analytics_aggregation('hours');
    started timestamptz := clock_timestamp();
    projects text[];
    hours timestamptz[];
    first_hour timestamptz;
    last_hour timestamptz;
    today_projects text[];
    today_hours timestamptz[];
    changed bigint;
begin
    with first as materialized (
        select project_id, hour_bucket from analytics_dirty_hours order by id limit p_limit
    ), marks as (
        delete from analytics_dirty_hours
        where (project_id, hour_bucket) in (select project_id, hour_bucket from first)
        returning project_id, hour_bucket
    ), dirty as (
        select project_id, hour_bucket, count(*) as marks from marks group by project_id, hour_bucket
    )
    select coalesce(sum(marks), 0), count(*), array_agg(project_id), array_agg(hour_bucket)
    into taken, buckets, projects, hours
    from dirty;

    -- Rows that came behind the floor can be counted nowhere: their buckets' other rows are gone.
    delete from analytics_events as event
    using unnest(projects, hours) as bucket (project_id, hour_bucket)
    where bucket.hour_bucket < floor
        and event.project_id = bucket.project_id
        and event.created_at >= bucket.hour_bucket and event.created_at < bucket.hour_bucket + interval '1 hour';
    get diagnostics refused = row_count;

    -- A day at a time, so that memory is a day's.
    written := 0;
    for first_hour, last_hour, today_projects, today_hours in
        select min(hour_bucket), max(hour_bucket), array_agg(project_id), array_agg(hour_bucket)
        from unnest(projects, hours) as dirty (project_id, hour_bucket)
        where hour_bucket >= floor
        group by date_trunc('day', hour_bucket, 'UTC') order by 1
    loop
        with bucket as materialized (
            select project_id, hour_bucket from unnest(today_projects, today_hours) as dirty (project_id, hour_bucket)
        ), counted as materialized (
            select
                bucket.project_id, bucket.hour_bucket, event.event_type, nullif(event.event_label, '') as event_label,
                count(*) as event_count,
                count(distinct event.visitor_id) as unique_visitors,
                count(distinct event.session_id) as unique_sessions
            from bucket
            -- Twice the same: the equality is for reading the day once, the range for finding a few hours by the index.
            join analytics_events as event
                on event.project_id = bucket.project_id
                and date_bin('1 hour', event.created_at, 'epoch') = bucket.hour_bucket
                and event.created_at >= bucket.hour_bucket
                and event.created_at < bucket.hour_bucket + interval '1 hour'
            -- As constants: from the first to the last of the hours, which of an hourly run are one or two.
            where event.created_at >= first_hour and event.created_at < last_hour + interval '1 hour'
            group by 2, 1, 3, 4                     -- sorted by the hour first, a number: a third less time
        ), difference as (
            -- Grouped, not joined: a bucket may have thousands of labels, and no planner knows how many.
            select
                max(place) as place, project_id, hour_bucket, event_type, event_label,
                max(event_count) filter (where place is null) as event_count,
                max(unique_visitors) filter (where place is null) as unique_visitors,
                max(unique_sessions) filter (where place is null) as unique_sessions
            from (
                select null::tid as place, * from counted
                union all
                select
                    stored.ctid, project_id, hour_bucket, event_type, event_label,
                    event_count, unique_visitors, unique_sessions
                from analytics_events_hourly_agg as stored
                join bucket using (project_id, hour_bucket)
            ) as counted_or_stored
            group by project_id, hour_bucket, event_type, event_label
            having count(*) = 1
                or (min(event_count), min(unique_visitors), min(unique_sessions))
                    <> (max(event_count), max(unique_visitors), max(unique_sessions))
        )
        merge into analytics_events_hourly_agg as stored
        using difference
        on stored.ctid = difference.place
        when matched and difference.event_count is null then delete
        when matched then update set
            event_count = difference.event_count, unique_visitors = difference.unique_visitors,
            unique_sessions = difference.unique_sessions, updated_at = now()
        when not matched then insert
            (project_id, hour_bucket, event_type, event_label, event_count, unique_visitors, unique_sessions)
            values (
                difference.project_id, difference.hour_bucket, difference.event_type, difference.event_label,
                difference.event_count, difference.unique_visitors, difference.unique_sessions
            );
        get diagnostics changed = row_count;
        written := written + changed;
    end loop;

    insert into analytics_dirty_days (project_id, day)
    select distinct project_id, (hour_bucket at time zone 'UTC')::date
    from unnest(projects, hours) as bucket (project_id, hour_bucket)
    where hour_bucket >= floor
    order by 2, 1;

    -- Fewer marks than asked for: all were taken that had committed when this call began.
    perform note_analytics_progress(
        'hours', case when taken < p_limit then date_trunc('hour', started, 'UTC') else '-infinity' end, refused
    );
end
$$;

-- A raw row as aggregation by day sees it. Kinds are 'days', of projects, and 'cards'; an owner is a project or a card;
-- facets are event type and label, or share code and contact, '' where there is none.
create function analytics_daily_rows(p_kind text, p_owners text[], p_day date)
returns table (action text, owner text, visitor text, session text, first_facet text, second_facet text)
language sql
stable
as $$
    select 'event', project_id, visitor_id, session_id, event_type, coalesce(event_label, '')
    from analytics_events
    where p_kind = 'days' and project_id = any (p_owners)
        and created_at >= p_day::timestamp at time zone 'UTC'
        and created_at < (p_day + 1)::timestamp at time zone 'UTC'
    union all
    select 'page view', user_code, null, session_id, coalesce(share_code, ''), coalesce(contact_id, '')
    from analytics_page_views
    where p_kind = 'cards' and user_code = any (p_owners)
        and viewed_at >= p_day::timestamp at time zone 'UTC'
        and viewed_at < (p_day + 1)::timestamp at time zone 'UTC'
    union all
    select 'click', user_code, null, session_id, coalesce(share_code, ''), coalesce(contact_id, '')
    from analytics_clicks
    where p_kind = 'cards' and user_code = any (p_owners)
        and clicked_at >= p_day::timestamp at time zone 'UTC'
        and clicked_at < (p_day + 1)::timestamp at time zone 'UTC'
    union all
    select 'start', user_code, null, session_id, coalesce(share_code, ''), coalesce(contact_id, '')
    from analytics_sessions
    where p_kind = 'cards' and user_code = any (p_owners)
        and first_seen >= p_day::timestamp at time zone 'UTC'
        and first_seen < (p_day + 1)::timestamp at time zone 'UTC';
$$;

-- An owner's day at a level: for 'all', by the 'first' facet, by the 'second', by 'both'.
create type analytics_day as (
    level text,
    owner text,
    first_facet text,
    second_facet text,
    counted bigint,                        -- events, or page views
    clicks bigint,
    sessions_started bigint,
    newcomer_visitors integer[],
    newcomer_sessions integer[]
);

create function analytics_levels(p_kind text) returns text[]
language sql immutable
return case p_kind when 'days' then array['all', 'first', 'both'] else array['all', 'first', 'second', 'both'] end;

create function analytics_scopes(p_kind text) returns analytics_scope[]
language sql immutable
return case p_kind
    when 'days' then array['event visitors', 'event sessions']::analytics_scope[]
    else array['card sessions']::analytics_scope[]
end;

-- The day at work is in two temporary tables, of the size of a day and not of what an array can hold. They are always
-- made anew: one of the same name that the caller had made would act with our rights.
create function start_analytics_days()
returns void
language plpgsql
as $$
declare
    name text;
begin
    foreach name in array array['analytics_counted', 'analytics_computed'] loop
        if to_regclass('pg_temp.' || name) is not null then
            execute format('drop table pg_temp.%I', name);
        end if;
        execute format('create temporary table %I of analytics_day on commit drop', name);
    end loop;
end
$$;

-- Reads a day once, in one snapshot: counts it, into analytics_counted, and makes its members what the raw rows say.
-- Answers with the later days whose newcomers change by it: those on which somebody who came or went is seen next, at
-- any level.
create function replace_analytics_members(
    p_kind text, p_owners text[], p_day date, out later_owners text[], out later_days date[]
)
language plpgsql
as $$
declare
    scopes analytics_scope[] := analytics_scopes(p_kind);
begin
    with raw as materialized (
        select * from analytics_daily_rows(p_kind, p_owners, p_day)
    ), parts as (
        select owner, first_facet, second_facet, null as started,
            count(*) filter (where action in ('event', 'page view')) as counted,
            count(*) filter (where action = 'click') as clicks
        from raw
        group by owner, first_facet, second_facet
        union all
        select owner, first_facet, second_facet, session, 0, 0 from raw where action = 'start'
    ), counted as (
        select
            level, owner,
            case when level in ('first', 'both') then first_facet else '' end as first_facet,
            case when level in ('second', 'both') then second_facet else '' end as second_facet,
            sum(counted)::bigint as counted, sum(clicks)::bigint as clicks, count(distinct started) as sessions_started
        from parts
        cross join unnest(analytics_levels(p_kind)) as level
        group by 1, 2, 3, 4
    ), seen as materialized (
        select
            'event visitors'::analytics_scope as scope, owner, member,
            array_agg(first_facet) as first_facets, array_agg(second_facet) as second_facets
        from (
            select distinct owner, visitor as member, first_facet, second_facet from raw where p_kind = 'days'
        ) as visitor
        group by owner, member
        union all
        select
            case p_kind when 'days' then 'event sessions' else 'card sessions' end::analytics_scope, owner, member,
            array_agg(first_facet), array_agg(second_facet)
        from (
            select distinct owner, session as member, first_facet, second_facet from raw
        ) as session
        group by owner, member
    ), stored as materialized (
        select scope, owner, member, first_facets, second_facets
        from analytics_daily_members
        where scope = any (scopes) and day = p_day and owner = any (p_owners)
    ), changed as materialized (
        select
            scope, owner, member, seen.first_facets, seen.second_facets,
            stored.first_facets as old_first_facets, stored.second_facets as old_second_facets
        from seen
        full join stored using (scope, owner, member)
        -- The same pairs may come in another order: sorting them would take longer than all else here.
        where (seen.first_facets, seen.second_facets) is distinct from (stored.first_facets, stored.second_facets)
            and (
                cardinality(seen.first_facets) is distinct from cardinality(stored.first_facets)
                or exists (
                    select * from unnest(seen.first_facets, seen.second_facets)
                    except
                    select * from unnest(stored.first_facets, stored.second_facets)
                )
            )
    ), came as (
        insert into analytics_daily_members (scope, day, owner, member, first_facets, second_facets)
        select scope, p_day, owner, member, first_facets, second_facets
        from changed
        where old_first_facets is null
        order by scope, owner, member
    ), other as (
        update analytics_daily_members as members
        set first_facets = changed.first_facets, second_facets = changed.second_facets
        from changed
        where changed.old_first_facets is not null and changed.first_facets is not null
            and members.scope = any (scopes) and members.day = p_day
            and (members.scope, members.owner, members.member) = (changed.scope, changed.owner, changed.member)
    ), went as (
        delete from analytics_daily_members as members
        using changed
        where changed.first_facets is null
            and members.scope = any (scopes) and members.day = p_day
            and (members.scope, members.owner, members.member) = (changed.scope, changed.owner, changed.member)
    ), moved as (
        select scope, owner, member, facet.first_facet, facet.second_facet
        from changed
        cross join lateral (
            (
                select * from unnest(first_facets, second_facets) as facet (first_facet, second_facet)
                except
                select * from unnest(old_first_facets, old_second_facets) as facet
            )
            union all
            (
                select * from unnest(old_first_facets, old_second_facets) as facet
                except
                select * from unnest(first_facets, second_facets) as facet
            )
        ) as facet
    ), noted as (
        insert into pg_temp.analytics_counted
        select level, owner, first_facet, second_facet, counted, clicks, sessions_started, null, null from counted
    ), seen_later as (
        select scope, owner, member, later.day, facet.first_facet, facet.second_facet
        from (select distinct scope, owner, member from moved) as mover
        cross join lateral (
            select day, first_facets, second_facets
            from analytics_daily_members as members
            where (members.scope, members.owner, members.member) = (mover.scope, mover.owner, mover.member)
                and members.day - p_day between 1 and 90
            offset 0                                -- a member at a time, as in analytics_newcomers
        ) as later
        cross join lateral unnest(later.first_facets, later.second_facets) as facet (first_facet, second_facet)
        -- Of the newest day, the usual one, nobody is seen later: one look instead of one a member.
        where exists (
            select from analytics_daily_members as newer
            where newer.scope = any (scopes) and newer.owner = any (p_owners) and newer.day > p_day
        )
    ), next_seen as (
        -- Grouped, not joined: members may have many facets, and no planner knows how many.
        select owner, min(day) as day
        from (
            select scope, owner, member, null::date as day, first_facet, second_facet from moved
            union all
            select * from seen_later
        ) as appearance
        cross join unnest(analytics_levels(p_kind)) as level
        group by
            scope, owner, member, level,
            case when level in ('first', 'both') then first_facet else '' end,
            case when level in ('second', 'both') then second_facet else '' end
        having bool_or(day is null)
    )
    select array_agg(owner), array_agg(day)
    into later_owners, later_days
    from (select distinct owner, day from next_seen where day is not null) as later;
end
$$;

create aggregate analytics_joined(integer[]) (sfunc = array_cat, stype = integer[]);

-- newcomers[k + 1]: members of the day not seen in the k days before, k from 0 to 90. A facet that is not of the level
-- is ''.
create function analytics_newcomers(p_scope analytics_scope, p_owners text[], p_day date, p_levels text[])
returns table (level text, owner text, first_facet text, second_facet text, newcomers integer[])
language plpgsql
stable
as $$
#variable_conflict use_column
begin
    return query
    with present as materialized (
        select owner, member, first_facets, second_facets
        from analytics_daily_members
        where scope = p_scope and day = p_day and owner = any (p_owners)
    ), appearance as (
        select owner, member, 0 as days_away, first_facets, second_facets from present
        union all
        select owner, member, p_day - earlier.day, earlier.first_facets, earlier.second_facets
        from present
        cross join lateral (
            select day, first_facets, second_facets
            from analytics_daily_members as members
            where members.scope = p_scope
                and (members.owner, members.member) = (present.owner, present.member)
                -- Not day > p_day - 91: by the key, not by the index of days, and one member at a time (offset 0 has
                -- no join made of it), however little the planner knows: statistics may be of cards alone.
                and p_day - members.day between 1 and 90
            offset 0
        ) as earlier
    ), seen as (
        -- Who is there with a facet, and how long ago the last time was. Grouped, not joined: nothing here takes more
        -- than its share of a member's facets, be they thousands.
        select
            level, owner, member,
            case when level in ('first', 'both') then facet.first_facet else '' end as first_facet,
            case when level in ('second', 'both') then facet.second_facet else '' end as second_facet,
            min(days_away) filter (where days_away > 0) as days_away
        from appearance
        cross join lateral unnest(first_facets, second_facets) as facet (first_facet, second_facet)
        cross join unnest(p_levels) as level
        group by 1, 2, 3, 4, 5
        having min(days_away) = 0
    ), counted as materialized (
        select level, owner, first_facet, second_facet, coalesce(days_away, 91) as days_away, count(*) as members
        from seen
        group by 1, 2, 3, 4, 5
    ), stretch as (
        -- From one absence that occurs to the next, newcomers stay the same.
        select
            level, owner, first_facet, second_facet, days_away,
            days_away - lag(days_away, 1, 0) over longer as days,
            (sum(members) over (longer rows between current row and unbounded following))::integer as newcomers
        from counted
        window longer as (partition by level, owner, first_facet, second_facet order by days_away)
    )
    select
        level, owner, first_facet, second_facet,
        analytics_joined(array_fill(newcomers, array[days]) order by days_away) || array_fill(0, array[91 - max(days_away)])
    from stretch
    group by 1, 2, 3, 4;
end
$$;

-- Makes analytics_computed of what analytics_counted has, which it empties, and the newcomers.
create function compute_analytics_days(p_kind text, p_owners text[], p_day date)
returns void
language plpgsql
as $$
begin
    truncate pg_temp.analytics_computed;
    -- Grouped, not joined: how many newcomers there are no planner knows, and it would try them one by one.
    insert into pg_temp.analytics_computed
    select
        level, owner, first_facet, second_facet, max(counted), max(clicks), max(sessions_started),
        max(newcomer_visitors), max(newcomer_sessions)
    from (
        select * from pg_temp.analytics_counted
        union all
        select
            level, owner, first_facet, second_facet, null, null, null,
            case when scope = 'event visitors' then newcomers end, case when scope <> 'event visitors' then newcomers end
        from unnest(analytics_scopes(p_kind)) as scope
        cross join lateral analytics_newcomers(scope, p_owners, p_day, analytics_levels(p_kind))
    ) as part
    group by 1, 2, 3, 4
    having max(counted) is not null;
    truncate pg_temp.analytics_counted;
end
$$;

-- Events by day: takes the first p_limit marks, and all others of their buckets.
create function aggregate_analytics_days(
    p_limit integer default 1000,
    out taken bigint, out buckets bigint, out written bigint
)
language plpgsql
security definer
set plan_cache_mode = force_custom_plan
set work_mem = '128MB'
set jit = off
as $$
declare
    floor timestamptz := start_analytics_aggregation('days');
    until timestamptz := (
        select date_trunc('day', aggregated_until, 'UTC') from analytics_progress where aggregate = 'hours'
    );
    projects text[];
    days date[];
    today_projects text[];
    today date;
    replaced record;
    later_projects text[];
    later_days date[];
begin
    with first as materialized (
        select project_id, day from analytics_dirty_days order by id limit p_limit
    ), marks as (
        delete from analytics_dirty_days
        where (project_id, day) in (select project_id, day from first)
        returning project_id, day
    ), dirty as (
        select project_id, day, count(*) as marks from marks group by project_id, day
    )
    select
        coalesce(sum(marks), 0), count(*),
        array_agg(project_id) filter (where day >= (floor at time zone 'UTC')::date),
        array_agg(day) filter (where day >= (floor at time zone 'UTC')::date)
    into taken, buckets, projects, days
    from dirty;

    perform start_analytics_days();
    -- Oldest first: a day's newcomers rest on the members of the days before it.
    written := 0;
    for today, today_projects in
        select day, array_agg(project_id) from unnest(projects, days) as dirty (project_id, day) group by day order by day
    loop
        replaced := replace_analytics_members('days', today_projects, today);
        later_projects := later_projects || replaced.later_owners;
        later_days := later_days || replaced.later_days;
        written := written + write_analytics_event_days(today_projects, today);
    end loop;
    for today, today_projects in
        select day, array_agg(project_id)
        from (
            select * from unnest(later_projects, later_days) as later (project_id, day)
            except
            select * from unnest(projects, days)
        ) as later
        group by day
    loop
        insert into pg_temp.analytics_counted
        select 'both', project_id, event_type, coalesce(event_label, ''), event_count, 0, 0, null::integer[], null::integer[]
        from analytics_events_daily_agg
        where project_id = any (today_projects) and day = today
        union all
        select
            case when event_type is null then 'all' else 'first' end, project_id, coalesce(event_type, ''), '',
            event_count, 0, 0, null, null
        from analytics_events_daily_totals
        where project_id = any (today_projects) and day = today;
        written := written + write_analytics_event_days(today_projects, today);
    end loop;

    perform note_analytics_progress('days', case when taken < p_limit then until else '-infinity' end, 0);
end
$$;

-- Makes some projects' rows of a day what analytics_counted and members say; answers with how many rows that changed.
create function write_analytics_event_days(p_projects text[], p_day date)
returns bigint
language plpgsql
as $$
declare
    by_label bigint;
    totals bigint;
begin
    perform compute_analytics_days('days', p_projects, p_day);
    -- As hours: grouped, not joined.
    with difference as (
        select
            max(place) as place, project_id, event_type, event_label,
            max(event_count) filter (where place is null) as event_count,
            max(newcomer_visitors) filter (where place is null) as newcomer_visitors,
            max(newcomer_sessions) filter (where place is null) as newcomer_sessions
        from (
            select null::tid as place, owner as project_id, first_facet as event_type, nullif(second_facet, '') as event_label,
                counted as event_count, newcomer_visitors, newcomer_sessions
            from pg_temp.analytics_computed where level = 'both'
            union all
            select ctid, project_id, event_type, event_label, event_count, newcomer_visitors, newcomer_sessions
            from analytics_events_daily_agg where project_id = any (p_projects) and day = p_day
        ) as computed_or_stored
        group by project_id, event_type, event_label
        having count(*) = 1
            or (min(event_count), min(newcomer_visitors), min(newcomer_sessions))
                <> (max(event_count), max(newcomer_visitors), max(newcomer_sessions))
    )
    merge into analytics_events_daily_agg as stored
    using difference
    on stored.ctid = difference.place
    when matched and difference.event_count is null then delete
    when matched then update set
        event_count = difference.event_count,
        newcomer_visitors = difference.newcomer_visitors,
        newcomer_sessions = difference.newcomer_sessions,
        updated_at = now()
    when not matched then insert
        (project_id, event_type, event_label, day, event_count, newcomer_visitors, newcomer_sessions)
        values (
            difference.project_id, difference.event_type, difference.event_label, p_day,
            difference.event_count, difference.newcomer_visitors, difference.newcomer_sessions
        );
    get diagnostics by_label = row_count;

    with difference as (
        select
            max(place) as place, project_id, event_type,
            max(event_count) filter (where place is null) as event_count,
            max(newcomer_visitors) filter (where place is null) as newcomer_visitors,
            max(newcomer_sessions) filter (where place is null) as newcomer_sessions
        from (
            select null::tid as place, owner as project_id, nullif(first_facet, '') as event_type,
                counted as event_count, newcomer_visitors, newcomer_sessions
            from pg_temp.analytics_computed where level in ('all', 'first')
            union all
            select ctid, project_id, event_type, event_count, newcomer_visitors, newcomer_sessions
            from analytics_events_daily_totals where project_id = any (p_projects) and day = p_day
        ) as computed_or_stored
        group by project_id, event_type
        having count(*) = 1
            or (min(event_count), min(newcomer_visitors), min(newcomer_sessions))
                <> (max(event_count), max(newcomer_visitors), max(newcomer_sessions))
    )
    merge into analytics_events_daily_totals as stored
    using difference
    on stored.ctid = difference.place
    when matched and difference.event_count is null then delete
    when matched then update set
        event_count = difference.event_count,
        newcomer_visitors = difference.newcomer_visitors,
        newcomer_sessions = difference.newcomer_sessions,
        updated_at = now()
    when not matched then insert
        (project_id, event_type, day, event_count, newcomer_visitors, newcomer_sessions)
        values (
            difference.project_id, difference.event_type, p_day,
            difference.event_count, difference.newcomer_visitors, difference.newcomer_sessions
        );
    get diagnostics totals = row_count;
    return by_label + totals;
end
$$;

select close_analytics('{}', array[
    'start_analytics_aggregation(text)', 'note_analytics_progress(text, timestamptz, bigint)',
    'aggregate_analytics_hours(integer)', 'analytics_daily_rows(text, text[], date)',
    'analytics_levels(text)', 'analytics_scopes(text)',
    'start_analytics_days()', 'replace_analytics_members(text, text[], date)',
    'analytics_joined(integer[])', 'analytics_newcomers(analytics_scope, text[], date, text[])',
    'compute_analytics_days(text, text[], date)', 'aggregate_analytics_days(integer)',
    'write_analytics_event_days(text[], date)'
]::regprocedure[]);
