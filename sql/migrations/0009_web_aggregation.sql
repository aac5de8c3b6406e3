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

-- Events by hour: takes up to p_limit marks and hands their days on.
create function aggregate_analytics_hours(
    p_limit integer default 5000,
    out taken bigint, out buckets bigint, out written bigint, out refused bigint
)
language plpgsql
security definer
as $$
declare
    floor timestamptz := start_analytics_aggregation('hours');
    started timestamptz := clock_timestamp();
    projects text[];
    hours timestamptz[];
    this_day timestamptz;
    changed bigint;
begin
    with marks as (
        delete from analytics_dirty_hours
        where id in (select id from analytics_dirty_hours order by id limit p_limit)
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

    written := 0;
    for this_day in
        select distinct date_trunc('day', hour_bucket, 'UTC')
        from unnest(hours) as hour_bucket where hour_bucket >= floor order by 1
    loop
        with bucket as materialized (
            select project_id, hour_bucket from unnest(projects, hours) as dirty (project_id, hour_bucket)
            where hour_bucket >= this_day and hour_bucket < this_day + interval '1 day'
        ), counted as materialized (
            select
                bucket.project_id, bucket.hour_bucket, event.event_type, nullif(event.event_label, '') as event_label,
                count(*) as event_count,
                count(distinct event.visitor_id) as unique_visitors,
                count(distinct event.session_id) as unique_sessions
            from bucket
            join analytics_events as event
                on event.project_id = bucket.project_id
                and event.created_at >= bucket.hour_bucket
                and event.created_at < bucket.hour_bucket + interval '1 hour'
            where event.created_at >= this_day and event.created_at < this_day + interval '1 day'
            group by 1, 2, 3, 4
        ), wanted as (
            select * from counted
            union all
            select stored.project_id, stored.hour_bucket, stored.event_type, stored.event_label, null, null, null
            from analytics_events_hourly_agg as stored
            join bucket using (project_id, hour_bucket)
            where not exists (
                select from counted
                where (counted.project_id, counted.hour_bucket, counted.event_type)
                    = (stored.project_id, stored.hour_bucket, stored.event_type)
                    and counted.event_label is not distinct from stored.event_label
            )
        )
        merge into analytics_events_hourly_agg as stored
        using wanted
        on (stored.project_id, stored.hour_bucket, stored.event_type)
            = (wanted.project_id, wanted.hour_bucket, wanted.event_type)
            and stored.event_label is not distinct from wanted.event_label
        when matched and wanted.event_count is null then delete
        when matched
            and (stored.event_count, stored.unique_visitors, stored.unique_sessions)
            is distinct from (wanted.event_count, wanted.unique_visitors, wanted.unique_sessions)
        then update set
            event_count = wanted.event_count, unique_visitors = wanted.unique_visitors,
            unique_sessions = wanted.unique_sessions, updated_at = now()
        when not matched then insert
            (project_id, hour_bucket, event_type, event_label, event_count, unique_visitors, unique_sessions)
            values (
                wanted.project_id, wanted.hour_bucket, wanted.event_type, wanted.event_label,
                wanted.event_count, wanted.unique_visitors, wanted.unique_sessions
            );
        get diagnostics changed = row_count;
        written := written + changed;
    end loop;

    insert into analytics_dirty_days (project_id, day)
    select distinct project_id, (hour_bucket at time zone 'UTC')::date
    from unnest(projects, hours) as bucket (project_id, hour_bucket)
    where hour_bucket >= floor;

    -- Fewer marks than asked for: all were taken that had committed when this call began.
    perform note_analytics_progress(
        'hours', case when taken < p_limit then date_trunc('hour', started, 'UTC') else '-infinity' end, refused
    );
end
$$;

-- Page views, clicks and starts of sessions of a day, one row each.
create function analytics_card_actions(p_user_codes text[], p_day date)
returns table (
    action text, user_code text, session_id text, share_code text, contact_id text,
    page_type text, click_category text, click_target text
)
language sql
stable
as $$
    select 'page view', user_code, session_id, nullif(share_code, ''), nullif(contact_id, ''), page_type, null, null
    from analytics_page_views
    where user_code = any (p_user_codes)
        and viewed_at >= p_day::timestamp at time zone 'UTC'
        and viewed_at < (p_day + 1)::timestamp at time zone 'UTC'
    union all
    select
        'click', user_code, session_id, nullif(share_code, ''), nullif(contact_id, ''), null,
        click_category, nullif(click_target, '')
    from analytics_clicks
    where user_code = any (p_user_codes)
        and clicked_at >= p_day::timestamp at time zone 'UTC'
        and clicked_at < (p_day + 1)::timestamp at time zone 'UTC'
    union all
    select 'start', user_code, session_id, nullif(share_code, ''), nullif(contact_id, ''), null, null, null
    from analytics_sessions
    where user_code = any (p_user_codes)
        and first_seen >= p_day::timestamp at time zone 'UTC'
        and first_seen < (p_day + 1)::timestamp at time zone 'UTC';
$$;

-- Who is seen in the raw rows of a day.
create function analytics_members_seen(p_scope text, p_owners text[], p_day date)
returns table (owner text, member text, first_facet text, second_facet text)
language sql
stable
as $$
    select distinct project_id, visitor_id, event_type, nullif(event_label, '') from analytics_events
    where p_scope = 'event visitors' and project_id = any (p_owners)
        and created_at >= p_day::timestamp at time zone 'UTC'
        and created_at < (p_day + 1)::timestamp at time zone 'UTC'
    union all
    select distinct project_id, session_id, event_type, nullif(event_label, '') from analytics_events
    where p_scope = 'event sessions' and project_id = any (p_owners)
        and created_at >= p_day::timestamp at time zone 'UTC'
        and created_at < (p_day + 1)::timestamp at time zone 'UTC'
    union all
    select distinct user_code, session_id, nullif(share_code, ''), nullif(contact_id, '')
    from analytics_card_actions(p_owners, p_day)
    where p_scope = 'card sessions';
$$;

-- Makes a day's members what the raw rows say. Answers with the later days whose newcomers change by it: those on
-- which somebody who came or went is seen next, at any level.
create function replace_analytics_members(p_scope text, p_owners text[], p_day date)
returns table (owner text, day date)
language sql
as $$
    with seen as materialized (
        select owner, member, first_facet, second_facet from analytics_members_seen(p_scope, p_owners, p_day)
    ), stored as materialized (
        select owner, member, first_facet, second_facet from analytics_daily_members
        where scope = p_scope and owner = any (p_owners) and day = p_day
    ), came as (
        insert into analytics_daily_members (scope, owner, member, day, first_facet, second_facet)
        select p_scope, owner, member, p_day, first_facet, second_facet
        from (select * from seen except select * from stored) as new
        returning owner, member, first_facet, second_facet
    ), went as (
        delete from analytics_daily_members as members
        using (select * from stored except select * from seen) as gone
        where members.scope = p_scope and members.day = p_day
            and (members.owner, members.member) = (gone.owner, gone.member)
            and members.first_facet is not distinct from gone.first_facet
            and members.second_facet is not distinct from gone.second_facet
        returning members.owner, members.member, members.first_facet, members.second_facet
    ), changed as (
        select * from came union all select * from went
    )
    select distinct changed.owner, next_day.day
    from changed
    cross join lateral (
        select array[
            min(later.day),
            min(later.day) filter (where later.first_facet is not distinct from changed.first_facet),
            min(later.day) filter (where later.second_facet is not distinct from changed.second_facet),
            min(later.day) filter (
                where later.first_facet is not distinct from changed.first_facet
                and later.second_facet is not distinct from changed.second_facet
            )
        ] as days
        from analytics_daily_members as later
        where later.scope = p_scope and later.owner = changed.owner and later.member = changed.member
            and later.day > p_day and later.day <= p_day + 90
    ) as later
    cross join lateral unnest(later.days) as next_day (day)
    -- Of the newest day, the usual one, nobody is seen later: one look instead of one a member.
    where next_day.day is not null and exists (
        select from analytics_daily_members as newer
        where newer.scope = p_scope and newer.owner = any (p_owners) and newer.day > p_day
    );
$$;

-- newcomers[k + 1]: members of the day not seen in the k days before, at the levels asked for: 'all', by the 'first'
-- facet, by the 'second', by 'both'.
create function analytics_newcomers(p_scope text, p_owners text[], p_day date, p_levels text[])
returns table (owner text, level text, first_facet text, second_facet text, newcomers integer[])
language sql
stable
as $$
    with seen as materialized (
        select
            members.owner, level, members.member,
            case when level in ('first', 'both') then members.first_facet end as first_facet,
            case when level in ('second', 'both') then members.second_facet end as second_facet
        from analytics_daily_members as members
        cross join unnest(p_levels) as level
        where members.scope = p_scope and members.owner = any (p_owners) and members.day = p_day
        group by 1, 2, 3, 4, 5
    ), absences as (
        select
            seen.owner, seen.level, seen.first_facet, seen.second_facet,
            coalesce(p_day - previous.day, 91) as days_away, count(*) as members
        from seen
        cross join lateral (
            select max(earlier.day) as day
            from analytics_daily_members as earlier
            where earlier.scope = p_scope and earlier.owner = seen.owner and earlier.member = seen.member
                and earlier.day < p_day and earlier.day >= p_day - 90
                and (seen.level not in ('first', 'both') or earlier.first_facet is not distinct from seen.first_facet)
                and (seen.level not in ('second', 'both') or earlier.second_facet is not distinct from seen.second_facet)
        ) as previous
        group by 1, 2, 3, 4, 5
    ), dense as (
        select owner, level, first_facet, second_facet, k, sum(members) as members
        from (
            select owner, level, first_facet, second_facet, days_away - 1 as k, members from absences
            union all
            select keys.*, k, 0
            from (select distinct owner, level, first_facet, second_facet from absences) as keys
            cross join generate_series(0, 90) as k
        ) as filled
        group by 1, 2, 3, 4, 5
    )
    select owner, level, first_facet, second_facet, array_agg(members order by k)
    from (
        select
            owner, level, first_facet, second_facet, k,
            (sum(members) over (partition by owner, level, first_facet, second_facet order by k desc))::integer as members
        from dense
    ) as cumulated
    group by 1, 2, 3, 4;
$$;

-- Events by day: takes up to p_limit marks.
create function aggregate_analytics_days(
    p_limit integer default 1000,
    out taken bigint, out buckets bigint, out written bigint
)
language plpgsql
security definer
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
    later_projects text[];
    later_days date[];
    changed bigint;
begin
    with marks as (
        delete from analytics_dirty_days
        where id in (select id from analytics_dirty_days order by id limit p_limit)
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

    -- All members first: a day's newcomers rest on the days before it.
    for today, today_projects in
        select day, array_agg(project_id) from unnest(projects, days) as dirty (project_id, day) group by day order by day
    loop
        select array_agg(owner), array_agg(day) into later_projects, later_days
        from (
            select owner, day from replace_analytics_members('event visitors', today_projects, today)
            union
            select owner, day from replace_analytics_members('event sessions', today_projects, today)
        ) as later;
        projects := projects || later_projects;
        days := days || later_days;
    end loop;

    written := 0;
    for today, today_projects in
        select day, array_agg(distinct project_id)
        from unnest(projects, days) as dirty (project_id, day) group by day order by day
    loop
        changed := write_analytics_event_days(today_projects, today);
        written := written + changed;
    end loop;

    perform note_analytics_progress('days', case when taken < p_limit then until else '-infinity' end, 0);
end
$$;

-- Makes some projects' rows of a day what raw rows and members say; answers with how many rows that changed.
create function write_analytics_event_days(p_projects text[], p_day date)
returns bigint
language plpgsql
as $$
declare
    by_label bigint;
    totals bigint;
begin
    with counted as materialized (
        select project_id, event_type, nullif(event_label, '') as event_label, count(*) as event_count
        from analytics_events
        where project_id = any (p_projects)
            and created_at >= p_day::timestamp at time zone 'UTC'
            and created_at < (p_day + 1)::timestamp at time zone 'UTC'
        group by 1, 2, 3
    ), newcomers as materialized (
        select owner, first_facet, second_facet,
            max(newcomers) filter (where scope = 'event visitors') as visitors,
            max(newcomers) filter (where scope = 'event sessions') as sessions
        from unnest(array['event visitors', 'event sessions']) as scope
        cross join analytics_newcomers(scope, p_projects, p_day, array['both'])
        group by 1, 2, 3
    ), wanted as (
        select
            counted.project_id, counted.event_type, counted.event_label, counted.event_count,
            newcomers.visitors, newcomers.sessions
        from counted
        left join newcomers
            on (newcomers.owner, newcomers.first_facet) = (counted.project_id, counted.event_type)
            and newcomers.second_facet is not distinct from counted.event_label
        union all
        select stored.project_id, stored.event_type, stored.event_label, null, null, null
        from analytics_events_daily_agg as stored
        where stored.project_id = any (p_projects) and stored.day = p_day and not exists (
            select from counted
            where (counted.project_id, counted.event_type) = (stored.project_id, stored.event_type)
                and counted.event_label is not distinct from stored.event_label
        )
    )
    merge into analytics_events_daily_agg as stored
    using wanted
    on stored.day = p_day
        and (stored.project_id, stored.event_type) = (wanted.project_id, wanted.event_type)
        and stored.event_label is not distinct from wanted.event_label
    when matched and wanted.event_count is null then delete
    when matched
        and (stored.event_count, stored.newcomer_visitors, stored.newcomer_sessions)
        is distinct from (wanted.event_count, wanted.visitors, wanted.sessions)
    then update set
        event_count = wanted.event_count, newcomer_visitors = wanted.visitors,
        newcomer_sessions = wanted.sessions, updated_at = now()
    when not matched then insert
        (project_id, event_type, event_label, day, event_count, newcomer_visitors, newcomer_sessions)
        values (
            wanted.project_id, wanted.event_type, wanted.event_label, p_day,
            wanted.event_count, wanted.visitors, wanted.sessions
        );
    get diagnostics by_label = row_count;

    -- Counts add up from the rows just written; uniques do not.
    with counted as materialized (
        select project_id, event_type, sum(event_count) as event_count
        from analytics_events_daily_agg
        where project_id = any (p_projects) and day = p_day
        group by grouping sets ((project_id), (project_id, event_type))
    ), newcomers as materialized (
        select owner, first_facet,
            max(newcomers) filter (where scope = 'event visitors') as visitors,
            max(newcomers) filter (where scope = 'event sessions') as sessions
        from unnest(array['event visitors', 'event sessions']) as scope
        cross join analytics_newcomers(scope, p_projects, p_day, array['all', 'first'])
        group by 1, 2
    ), wanted as (
        select counted.project_id, counted.event_type, counted.event_count, newcomers.visitors, newcomers.sessions
        from counted
        left join newcomers
            on newcomers.owner = counted.project_id and newcomers.first_facet is not distinct from counted.event_type
        union all
        select stored.project_id, stored.event_type, null, null, null
        from analytics_events_daily_totals as stored
        where stored.project_id = any (p_projects) and stored.day = p_day and not exists (
            select from counted
            where counted.project_id = stored.project_id and counted.event_type is not distinct from stored.event_type
        )
    )
    merge into analytics_events_daily_totals as stored
    using wanted
    on stored.day = p_day
        and stored.project_id = wanted.project_id and stored.event_type is not distinct from wanted.event_type
    when matched and wanted.event_count is null then delete
    when matched
        and (stored.event_count, stored.newcomer_visitors, stored.newcomer_sessions)
        is distinct from (wanted.event_count, wanted.visitors, wanted.sessions)
    then update set
        event_count = wanted.event_count, newcomer_visitors = wanted.visitors,
        newcomer_sessions = wanted.sessions, updated_at = now()
    when not matched then insert
        (project_id, event_type, day, event_count, newcomer_visitors, newcomer_sessions)
        values (
            wanted.project_id, wanted.event_type, p_day, wanted.event_count, wanted.visitors, wanted.sessions
        );
    get diagnostics totals = row_count;
    return by_label + totals;
end
$$;
