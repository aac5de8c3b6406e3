-- Aggregation of cards by day; see 0009 for how aggregation goes.

-- Takes up to p_limit marks.
create function aggregate_analytics_cards(
    p_limit integer default 1000,
    out taken bigint, out buckets bigint, out written bigint, out refused bigint
)
language plpgsql
security definer
as $$
declare
    floor timestamptz := start_analytics_aggregation('cards');
    started timestamptz := clock_timestamp();
    cards text[];
    days date[];
    today_cards text[];
    today date;
    later_cards text[];
    later_days date[];
    changed bigint;
begin
    with marks as (
        delete from analytics_dirty_cards
        where id in (select id from analytics_dirty_cards order by id limit p_limit)
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

    -- All members first: a day's newcomers rest on the days before it.
    for today, today_cards in
        select day, array_agg(user_code) from unnest(cards, days) as dirty (user_code, day) group by day order by day
    loop
        select array_agg(owner), array_agg(day) into later_cards, later_days
        from replace_analytics_members('card sessions', today_cards, today);
        cards := cards || later_cards;
        days := days || later_days;
    end loop;

    written := 0;
    for today, today_cards in
        select day, array_agg(distinct user_code)
        from unnest(cards, days) as dirty (user_code, day) group by day order by day
    loop
        changed := write_analytics_card_days(today_cards, today) + write_analytics_card_parts(today_cards, today);
        written := written + changed;
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

create type analytics_card_day as (
    level text,                            -- 'all': by card; 'first': by group; 'second': by contact
    user_code text,
    share_code text,
    contact_id text,
    page_views bigint,
    clicks bigint,
    sessions_started bigint,
    newcomer_sessions integer[]
);

-- What a day's rows of the three tables with uniques must be.
create function analytics_card_days(p_user_codes text[], p_day date)
returns setof analytics_card_day
language sql
stable
as $$
    with counted as (
        select
            case when grouping(share_code) = 0 then 'first' when grouping(contact_id) = 0 then 'second' else 'all' end as level,
            user_code, share_code, contact_id,
            count(*) filter (where action = 'page view') as page_views,
            count(*) filter (where action = 'click') as clicks,
            count(distinct session_id) filter (where action = 'start') as sessions_started
        from analytics_card_actions(p_user_codes, p_day)
        group by grouping sets ((user_code), (user_code, share_code), (user_code, contact_id))
    )
    select
        counted.level, counted.user_code, counted.share_code, counted.contact_id,
        counted.page_views, counted.clicks, counted.sessions_started, newcomers.newcomers
    from counted
    left join analytics_newcomers('card sessions', p_user_codes, p_day, array['all', 'first', 'second']) as newcomers
        on newcomers.owner = counted.user_code and newcomers.level = counted.level
        and newcomers.first_facet is not distinct from counted.share_code
        and newcomers.second_facet is not distinct from counted.contact_id;
$$;

-- Makes some cards' rows of a day, by card, group and contact, what raw rows and members say.
create function write_analytics_card_days(p_user_codes text[], p_day date)
returns bigint
language plpgsql
as $$
declare
    days analytics_card_day[] := array(select computed from analytics_card_days(p_user_codes, p_day) as computed);
    by_card bigint;
    by_group bigint;
    by_contact bigint;
begin
    with wanted as (
        select user_code, page_views, clicks, sessions_started, newcomer_sessions from unnest(days) where level = 'all'
        union all
        select user_code, null, null, null, null from analytics_daily_user_stats as stored
        where user_code = any (p_user_codes) and date = p_day and not exists (
            select from unnest(days) as computed where level = 'all' and computed.user_code = stored.user_code
        )
    )
    merge into analytics_daily_user_stats as stored
    using wanted
    on stored.date = p_day and stored.user_code = wanted.user_code
    when matched and wanted.page_views is null then delete
    when matched
        and (stored.page_views, stored.clicks, stored.sessions_started, stored.newcomer_sessions)
        is distinct from (wanted.page_views, wanted.clicks, wanted.sessions_started, wanted.newcomer_sessions)
    then update set
        page_views = wanted.page_views, clicks = wanted.clicks, sessions_started = wanted.sessions_started,
        newcomer_sessions = wanted.newcomer_sessions, updated_at = now()
    when not matched then insert (user_code, date, page_views, clicks, sessions_started, newcomer_sessions)
        values (
            wanted.user_code, p_day, wanted.page_views, wanted.clicks, wanted.sessions_started, wanted.newcomer_sessions
        );
    get diagnostics by_card = row_count;

    with wanted as (
        select user_code, share_code, page_views, clicks, sessions_started, newcomer_sessions
        from unnest(days) where level = 'first'
        union all
        select user_code, share_code, null, null, null, null from analytics_daily_group_stats as stored
        where user_code = any (p_user_codes) and date = p_day and not exists (
            select from unnest(days) as computed
            where level = 'first' and computed.user_code = stored.user_code
                and computed.share_code is not distinct from stored.share_code
        )
    )
    merge into analytics_daily_group_stats as stored
    using wanted
    on stored.date = p_day and stored.user_code = wanted.user_code
        and stored.share_code is not distinct from wanted.share_code
    when matched and wanted.page_views is null then delete
    when matched
        and (stored.page_views, stored.clicks, stored.sessions_started, stored.newcomer_sessions)
        is distinct from (wanted.page_views, wanted.clicks, wanted.sessions_started, wanted.newcomer_sessions)
    then update set
        page_views = wanted.page_views, clicks = wanted.clicks, sessions_started = wanted.sessions_started,
        newcomer_sessions = wanted.newcomer_sessions, updated_at = now()
    when not matched then insert (user_code, share_code, date, page_views, clicks, sessions_started, newcomer_sessions)
        values (
            wanted.user_code, wanted.share_code, p_day,
            wanted.page_views, wanted.clicks, wanted.sessions_started, wanted.newcomer_sessions
        );
    get diagnostics by_group = row_count;

    with wanted as (
        select user_code, contact_id, page_views, clicks, sessions_started, newcomer_sessions
        from unnest(days) where level = 'second'
        union all
        select user_code, contact_id, null, null, null, null from analytics_daily_contact_stats as stored
        where user_code = any (p_user_codes) and date = p_day and not exists (
            select from unnest(days) as computed
            where level = 'second' and computed.user_code = stored.user_code
                and computed.contact_id is not distinct from stored.contact_id
        )
    )
    merge into analytics_daily_contact_stats as stored
    using wanted
    on stored.date = p_day and stored.user_code = wanted.user_code
        and stored.contact_id is not distinct from wanted.contact_id
    when matched and wanted.page_views is null then delete
    when matched
        and (stored.page_views, stored.clicks, stored.sessions_started, stored.newcomer_sessions)
        is distinct from (wanted.page_views, wanted.clicks, wanted.sessions_started, wanted.newcomer_sessions)
    then update set
        page_views = wanted.page_views, clicks = wanted.clicks, sessions_started = wanted.sessions_started,
        newcomer_sessions = wanted.newcomer_sessions, updated_at = now()
    when not matched then insert (user_code, contact_id, date, page_views, clicks, sessions_started, newcomer_sessions)
        values (
            wanted.user_code, wanted.contact_id, p_day,
            wanted.page_views, wanted.clicks, wanted.sessions_started, wanted.newcomer_sessions
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
    with counted as materialized (
        select user_code, share_code, contact_id, page_type, count(*) as page_views
        from analytics_card_actions(p_user_codes, p_day) where action = 'page view'
        group by user_code, share_code, contact_id, page_type
    ), wanted as (
        select * from counted
        union all
        select user_code, share_code, contact_id, page_type, null from analytics_daily_page_stats as stored
        where user_code = any (p_user_codes) and date = p_day and not exists (
            select from counted
            where (counted.user_code, counted.page_type) = (stored.user_code, stored.page_type)
                and counted.share_code is not distinct from stored.share_code
                and counted.contact_id is not distinct from stored.contact_id
        )
    )
    merge into analytics_daily_page_stats as stored
    using wanted
    on stored.date = p_day and (stored.user_code, stored.page_type) = (wanted.user_code, wanted.page_type)
        and stored.share_code is not distinct from wanted.share_code
        and stored.contact_id is not distinct from wanted.contact_id
    when matched and wanted.page_views is null then delete
    when matched and stored.page_views <> wanted.page_views
        then update set page_views = wanted.page_views, updated_at = now()
    when not matched then insert (user_code, share_code, contact_id, page_type, date, page_views)
        values (wanted.user_code, wanted.share_code, wanted.contact_id, wanted.page_type, p_day, wanted.page_views);
    get diagnostics pages = row_count;

    with counted as materialized (
        select user_code, share_code, contact_id, click_category, click_target, count(*) as clicks
        from analytics_card_actions(p_user_codes, p_day) where action = 'click'
        group by user_code, share_code, contact_id, click_category, click_target
    ), wanted as (
        select * from counted
        union all
        select user_code, share_code, contact_id, click_category, click_target, null
        from analytics_daily_click_targets as stored
        where user_code = any (p_user_codes) and date = p_day and not exists (
            select from counted
            where (counted.user_code, counted.click_category) = (stored.user_code, stored.click_category)
                and counted.click_target is not distinct from stored.click_target
                and counted.share_code is not distinct from stored.share_code
                and counted.contact_id is not distinct from stored.contact_id
        )
    )
    merge into analytics_daily_click_targets as stored
    using wanted
    on stored.date = p_day and (stored.user_code, stored.click_category) = (wanted.user_code, wanted.click_category)
        and stored.click_target is not distinct from wanted.click_target
        and stored.share_code is not distinct from wanted.share_code
        and stored.contact_id is not distinct from wanted.contact_id
    when matched and wanted.clicks is null then delete
    when matched and stored.clicks <> wanted.clicks
        then update set clicks = wanted.clicks, updated_at = now()
    when not matched then insert (user_code, share_code, contact_id, click_category, click_target, date, clicks)
        values (
            wanted.user_code, wanted.share_code, wanted.contact_id,
            wanted.click_category, wanted.click_target, p_day, wanted.clicks
        );
    get diagnostics targets = row_count;
    return pages + targets;
end
$$;
