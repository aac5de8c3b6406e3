-- Aggregation of cards by day; see 0009 for how aggregation goes.

-- Takes up to p_limit marks.
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

    -- Oldest first: a day's newcomers rest on the members of the days before it.
    written := 0;
    for today, today_cards in
        select day, array_agg(user_code) from unnest(cards, days) as dirty (user_code, day) group by day order by day
    loop
        replaced := replace_analytics_members('cards', today_cards, today);
        later_cards := later_cards || replaced.later_owners;
        later_days := later_days || replaced.later_days;
        written := written
            + write_analytics_card_days(today_cards, today, replaced.counts)
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
        written := written + write_analytics_card_days(today_cards, today, array(
            select row(
                level, user_code, share_code, contact_id, page_views, clicks, sessions_started, null, null
            )::analytics_day
            from (
                select 'all' as level, user_code, '' as share_code, '' as contact_id,
                    page_views, clicks, sessions_started
                from analytics_daily_user_stats
                where user_code = any (today_cards) and date = today
                union all
                select 'first', user_code, coalesce(share_code, ''), '', page_views, clicks, sessions_started
                from analytics_daily_group_stats
                where user_code = any (today_cards) and date = today
                union all
                select 'second', user_code, '', coalesce(contact_id, ''), page_views, clicks, sessions_started
                from analytics_daily_contact_stats
                where user_code = any (today_cards) and date = today
                union all
                select
                    'both', user_code, coalesce(share_code, ''), coalesce(contact_id, ''),
                    page_views, clicks, sessions_started
                from analytics_daily_group_contact_stats
                where user_code = any (today_cards) and date = today
            ) as stored
        ));
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

-- Makes some cards' rows of a day, by card, group, contact and both, what raw rows and members say.
create function write_analytics_card_days(p_user_codes text[], p_day date, p_counts analytics_day[])
returns bigint
language plpgsql
as $$
declare
    days analytics_day[] := array(select computed from analytics_days('cards', p_user_codes, p_day, p_counts) as computed);
    by_card bigint;
    by_group bigint;
    by_contact bigint;
    by_both bigint;
begin
    with wanted as (
        select owner as user_code, counted as page_views, clicks, sessions_started, newcomer_sessions
        from unnest(days) where level = 'all'
        union all
        select *, null, null, null, null
        from (
            select user_code from analytics_daily_user_stats where user_code = any (p_user_codes) and date = p_day
            except
            select owner from unnest(days) where level = 'all'
        ) as stale
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
        select owner as user_code, nullif(first_facet, '') as share_code,
            counted as page_views, clicks, sessions_started, newcomer_sessions
        from unnest(days) where level = 'first'
        union all
        select *, null, null, null, null
        from (
            select user_code, share_code from analytics_daily_group_stats
            where user_code = any (p_user_codes) and date = p_day
            except
            select owner, nullif(first_facet, '') from unnest(days) where level = 'first'
        ) as stale
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
        select owner as user_code, nullif(second_facet, '') as contact_id,
            counted as page_views, clicks, sessions_started, newcomer_sessions
        from unnest(days) where level = 'second'
        union all
        select *, null, null, null, null
        from (
            select user_code, contact_id from analytics_daily_contact_stats
            where user_code = any (p_user_codes) and date = p_day
            except
            select owner, nullif(second_facet, '') from unnest(days) where level = 'second'
        ) as stale
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

    with wanted as (
        select owner as user_code, nullif(first_facet, '') as share_code, nullif(second_facet, '') as contact_id,
            counted as page_views, clicks, sessions_started, newcomer_sessions
        from unnest(days) where level = 'both'
        union all
        select *, null, null, null, null
        from (
            select user_code, share_code, contact_id from analytics_daily_group_contact_stats
            where user_code = any (p_user_codes) and date = p_day
            except
            select owner, nullif(first_facet, ''), nullif(second_facet, '') from unnest(days) where level = 'both'
        ) as stale
    )
    merge into analytics_daily_group_contact_stats as stored
    using wanted
    on stored.date = p_day and stored.user_code = wanted.user_code
        and stored.share_code is not distinct from wanted.share_code
        and stored.contact_id is not distinct from wanted.contact_id
    when matched and wanted.page_views is null then delete
    when matched
        and (stored.page_views, stored.clicks, stored.sessions_started, stored.newcomer_sessions)
        is distinct from (wanted.page_views, wanted.clicks, wanted.sessions_started, wanted.newcomer_sessions)
    then update set
        page_views = wanted.page_views, clicks = wanted.clicks, sessions_started = wanted.sessions_started,
        newcomer_sessions = wanted.newcomer_sessions, updated_at = now()
    when not matched then insert
        (user_code, share_code, contact_id, date, page_views, clicks, sessions_started, newcomer_sessions)
        values (
            wanted.user_code, wanted.share_code, wanted.contact_id, p_day,
            wanted.page_views, wanted.clicks, wanted.sessions_started, wanted.newcomer_sessions
        );
    get diagnostics by_both = row_count;
    return by_card + by_group + by_contact + by_both;
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
        select
            user_code, nullif(share_code, '') as share_code, nullif(contact_id, '') as contact_id, page_type,
            count(*) as page_views
        from analytics_page_views
        where user_code = any (p_user_codes)
            and viewed_at >= p_day::timestamp at time zone 'UTC'
            and viewed_at < (p_day + 1)::timestamp at time zone 'UTC'
        group by 1, 2, 3, 4
    ), wanted as (
        select * from counted
        union all
        select *, null
        from (
            select user_code, share_code, contact_id, page_type from analytics_daily_page_stats
            where user_code = any (p_user_codes) and date = p_day
            except
            select user_code, share_code, contact_id, page_type from counted
        ) as stale
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
        select
            user_code, nullif(share_code, '') as share_code, nullif(contact_id, '') as contact_id,
            click_category, nullif(click_target, '') as click_target, count(*) as clicks
        from analytics_clicks
        where user_code = any (p_user_codes)
            and clicked_at >= p_day::timestamp at time zone 'UTC'
            and clicked_at < (p_day + 1)::timestamp at time zone 'UTC'
        group by 1, 2, 3, 4, 5
    ), wanted as (
        select * from counted
        union all
        select *, null
        from (
            select user_code, share_code, contact_id, click_category, click_target from analytics_daily_click_targets
            where user_code = any (p_user_codes) and date = p_day
            except
            select user_code, share_code, contact_id, click_category, click_target from counted
        ) as stale
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
