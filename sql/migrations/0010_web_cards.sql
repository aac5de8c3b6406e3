-- Aggregation of cards by day; see 0009 for how aggregation goes.

-- Takes the first p_limit marks, and all others of their buckets.
create function aggregate_analytics_cards(
    p_limit integer default 1000,
    out taken bigint, out buckets bigint, out written bigint, out refused bigint
)
language plpgsql
security definer
set plan_cache_mode = force_custom_plan
set work_mem = '128MB'
set jit = off
as $$
declare
    floor timestamptz := start_analytics_aggregation('cards');
    started timestamptz := clock_timestamp();
    cards text[];
    days date[];
    today_cards text[];
    today date;
    replaced record;
    later_cards text[];
    later_days date[];
begin
    with first as materialized (
        select user_code, day from analytics_dirty_cards order by id limit p_limit
    ), marks as (
        delete from analytics_dirty_cards
        where (user_code, day) in (select user_code, day from first)
        returning user_code, day
    ), dirty as (
        select user_code, day, count(*) as marks from marks group by user_code, day
    )
    select coalesce(sum(marks), 0), count(*), array_agg(user_code), array_agg(day)
    into taken, buckets, cards, days
    from dirty;

    refused := refuse_analytics_card_rows(cards, days, floor);

    select array_agg(user_code), array_agg(day) into cards, days
    from unnest(cards, days) as dirty (user_code, day)
    where day >= (floor at time zone 'UTC')::date;

    perform start_analytics_days();
    -- Oldest first: a day's newcomers rest on the members of the days before it.
    written := 0;
    for today, today_cards in
        select day, array_agg(user_code) from unnest(cards, days) as dirty (user_code, day) group by day order by day
    loop
        replaced := replace_analytics_members('cards', today_cards, today);
        later_cards := later_cards || replaced.later_owners;
        later_days := later_days || replaced.later_days;
        written := written
            + write_analytics_card_days(today_cards, today)
            + write_analytics_card_parts(today_cards, today);
    end loop;
    for today, today_cards in
        select day, array_agg(user_code)
        from (
            select * from unnest(later_cards, later_days) as later (user_code, day)
            except
            select * from unnest(cards, days)
        ) as later
        group by day
    loop
        insert into pg_temp.analytics_counted
        select 'all', user_code, '', '', page_views, clicks, sessions_started, null::integer[], null::integer[]
        from analytics_daily_user_stats
        where user_code = any (today_cards) and date = today
        union all
        select 'first', user_code, coalesce(share_code, ''), '', page_views, clicks, sessions_started, null, null
        from analytics_daily_group_stats
        where user_code = any (today_cards) and date = today
        union all
        select 'second', user_code, '', coalesce(contact_id, ''), page_views, clicks, sessions_started, null, null
        from analytics_daily_contact_stats
        where user_code = any (today_cards) and date = today;
        written := written + write_analytics_card_days(today_cards, today);
    end loop;

    perform note_analytics_progress(
        'cards', case when taken < p_limit then date_trunc('day', started, 'UTC') else '-infinity' end, refused
    );
end
$$;

-- Removes rows that came for a day behind the raw floor; answers with how many.
create function refuse_analytics_card_rows(p_user_codes text[], p_days date[], p_floor timestamptz)
returns bigint
language sql
as $$
    with late as materialized (
        select user_code, day::timestamp at time zone 'UTC' as day_start
        from unnest(p_user_codes, p_days) as dirty (user_code, day)
        where day < (p_floor at time zone 'UTC')::date
    ), page_views as (
        delete from analytics_page_views as raw using late
        where raw.user_code = late.user_code
            and raw.viewed_at >= late.day_start and raw.viewed_at < late.day_start + interval '24 hours'
        returning 1
    ), clicks as (
        delete from analytics_clicks as raw using late
        where raw.user_code = late.user_code
            and raw.clicked_at >= late.day_start and raw.clicked_at < late.day_start + interval '24 hours'
        returning 1
    ), sessions as (
        delete from analytics_sessions as raw using late
        where raw.user_code = late.user_code
            and raw.first_seen >= late.day_start and raw.first_seen < late.day_start + interval '24 hours'
        returning 1
    )
    select (select count(*) from page_views) + (select count(*) from clicks) + (select count(*) from sessions);
$$;

-- Makes some cards' rows of a day, by card, group and contact, what analytics_counted and members say.
create function write_analytics_card_days(p_user_codes text[], p_day date)
returns bigint
language plpgsql
as $$
declare
    by_card bigint;
    by_group bigint;
    by_contact bigint;
begin
    perform compute_analytics_days('cards', p_user_codes, p_day);
    with difference as (
        select
            max(place) as place, user_code,
            max(page_views) filter (where place is null) as page_views,
            max(clicks) filter (where place is null) as clicks,
            max(sessions_started) filter (where place is null) as sessions_started,
            max(newcomer_sessions) filter (where place is null) as newcomer_sessions
        from (
            select null::tid as place, owner as user_code,
                counted as page_views, clicks, sessions_started, newcomer_sessions
            from pg_temp.analytics_computed where level = 'all'
            union all
            select ctid, user_code, page_views, clicks, sessions_started, newcomer_sessions
            from analytics_daily_user_stats where user_code = any (p_user_codes) and date = p_day
        ) as computed_or_stored
        group by user_code
        having count(*) = 1
            or (min(page_views), min(clicks), min(sessions_started), min(newcomer_sessions))
                <> (max(page_views), max(clicks), max(sessions_started), max(newcomer_sessions))
    )
    merge into analytics_daily_user_stats as stored
    using difference
    on stored.ctid = difference.place
    when matched and difference.page_views is null then delete
    when matched then update set
        page_views = difference.page_views,
        clicks = difference.clicks,
        sessions_started = difference.sessions_started,
        newcomer_sessions = difference.newcomer_sessions,
        updated_at = now()
    when not matched then insert
        (user_code, date, page_views, clicks, sessions_started, newcomer_sessions)
        values (
            difference.user_code, p_day,
            difference.page_views, difference.clicks, difference.sessions_started, difference.newcomer_sessions
        );
    get diagnostics by_card = row_count;

    with difference as (
        select
            max(place) as place, user_code, share_code,
            max(page_views) filter (where place is null) as page_views,
            max(clicks) filter (where place is null) as clicks,
            max(sessions_started) filter (where place is null) as sessions_started,
            max(newcomer_sessions) filter (where place is null) as newcomer_sessions
        from (
            select null::tid as place, owner as user_code, nullif(first_facet, '') as share_code,
                counted as page_views, clicks, sessions_started, newcomer_sessions
            from pg_temp.analytics_computed where level = 'first'
            union all
            select ctid, user_code, share_code, page_views, clicks, sessions_started, newcomer_sessions
            from analytics_daily_group_stats where user_code = any (p_user_codes) and date = p_day
        ) as computed_or_stored
        group by user_code, share_code
        having count(*) = 1
            or (min(page_views), min(clicks), min(sessions_started), min(newcomer_sessions))
                <> (max(page_views), max(clicks), max(sessions_started), max(newcomer_sessions))
    )
    merge into analytics_daily_group_stats as stored
    using difference
    on stored.ctid = difference.place
    when matched and difference.page_views is null then delete
    when matched then update set
        page_views = difference.page_views,
        clicks = difference.clicks,
        sessions_started = difference.sessions_started,
        newcomer_sessions = difference.newcomer_sessions,
        updated_at = now()
    when not matched then insert
        (user_code, share_code, date, page_views, clicks, sessions_started, newcomer_sessions)
        values (
            difference.user_code, difference.share_code, p_day,
            difference.page_views, difference.clicks, difference.sessions_started, difference.newcomer_sessions
        );
    get diagnostics by_group = row_count;

    with difference as (
        select
            max(place) as place, user_code, contact_id,
            max(page_views) filter (where place is null) as page_views,
            max(clicks) filter (where place is null) as clicks,
            max(sessions_started) filter (where place is null) as sessions_started,
            max(newcomer_sessions) filter (where place is null) as newcomer_sessions
        from (
            select null::tid as place, owner as user_code, nullif(second_facet, '') as contact_id,
                counted as page_views, clicks, sessions_started, newcomer_sessions
            from pg_temp.analytics_computed where level = 'second'
            union all
            select ctid, user_code, contact_id, page_views, clicks, sessions_started, newcomer_sessions
            from analytics_daily_contact_stats where user_code = any (p_user_codes) and date = p_day
        ) as computed_or_stored
        group by user_code, contact_id
        having count(*) = 1
            or (min(page_views), min(clicks), min(sessions_started), min(newcomer_sessions))
                <> (max(page_views), max(clicks), max(sessions_started), max(newcomer_sessions))
    )
    merge into analytics_daily_contact_stats as stored
    using difference
    on stored.ctid = difference.place
    when matched and difference.page_views is null then delete
    when matched then update set
        page_views = difference.page_views,
        clicks = difference.clicks,
        sessions_started = difference.sessions_started,
        newcomer_sessions = difference.newcomer_sessions,
        updated_at = now()
    when not matched then insert
        (user_code, contact_id, date, page_views, clicks, sessions_started, newcomer_sessions)
        values (
            difference.user_code, difference.contact_id, p_day,
            difference.page_views, difference.clicks, difference.sessions_started, difference.newcomer_sessions
        );
    get diagnostics by_contact = row_count;
    return by_card + by_group + by_contact;
end
$$;

-- The same for pages and click targets, which only count.
create function write_analytics_card_parts(p_user_codes text[], p_day date)
returns bigint
language plpgsql
as $$
declare
    pages bigint;
    targets bigint;
begin
    with difference as (
        select max(place) as place, user_code, share_code, contact_id, page_type,
            max(page_views) filter (where place is null) as page_views
        from (
            select null::tid as place, user_code, nullif(share_code, '') as share_code, nullif(contact_id, '') as contact_id, page_type,
                count(*) as page_views
            from analytics_page_views
            where user_code = any (p_user_codes)
                and viewed_at >= p_day::timestamp at time zone 'UTC'
                and viewed_at < (p_day + 1)::timestamp at time zone 'UTC'
            group by 2, 3, 4, 5
            union all
            select ctid, user_code, share_code, contact_id, page_type, page_views
            from analytics_daily_page_stats where user_code = any (p_user_codes) and date = p_day
        ) as counted_or_stored
        group by user_code, share_code, contact_id, page_type
        having count(*) = 1 or min(page_views) <> max(page_views)
    )
    merge into analytics_daily_page_stats as stored
    using difference
    on stored.ctid = difference.place
    when matched and difference.page_views is null then delete
    when matched then update set page_views = difference.page_views, updated_at = now()
    when not matched then insert (user_code, share_code, contact_id, page_type, date, page_views)
        values (
            difference.user_code, difference.share_code, difference.contact_id, difference.page_type, p_day,
            difference.page_views
        );
    get diagnostics pages = row_count;

    with difference as (
        select max(place) as place, user_code, share_code, contact_id, click_category, click_target,
            max(clicks) filter (where place is null) as clicks
        from (
            select null::tid as place, user_code, nullif(share_code, '') as share_code, nullif(contact_id, '') as contact_id, click_category, nullif(click_target, '') as click_target,
                count(*) as clicks
            from analytics_clicks
            where user_code = any (p_user_codes)
                and clicked_at >= p_day::timestamp at time zone 'UTC'
                and clicked_at < (p_day + 1)::timestamp at time zone 'UTC'
            group by 2, 3, 4, 5, 6
            union all
            select ctid, user_code, share_code, contact_id, click_category, click_target, clicks
            from analytics_daily_click_targets where user_code = any (p_user_codes) and date = p_day
        ) as counted_or_stored
        group by user_code, share_code, contact_id, click_category, click_target
        having count(*) = 1 or min(clicks) <> max(clicks)
    )
    merge into analytics_daily_click_targets as stored
    using difference
    on stored.ctid = difference.place
    when matched and difference.clicks is null then delete
    when matched then update set clicks = difference.clicks, updated_at = now()
    when not matched then insert (user_code, share_code, contact_id, click_category, click_target, date, clicks)
        values (
            difference.user_code, difference.share_code, difference.contact_id, difference.click_category, difference.click_target, p_day,
            difference.clicks
        );
    get diagnostics targets = row_count;
    return pages + targets;
end
$$;

select close_analytics('{}', array[
    'aggregate_analytics_cards(integer)', 'refuse_analytics_card_rows(text[], date[], timestamptz)',
    'write_analytics_card_days(text[], date)', 'write_analytics_card_parts(text[], date)'
]::regprocedure[]);
