create or replace function ingest_analytics_batch(p_batch jsonb)
returns jsonb
language plpgsql
security definer
set plan_cache_mode = force_custom_plan         -- so that only the weeks of the batch are locked and searched
set jit = off
set timezone = 'UTC'                            -- limits of partitions are read as text
set datestyle = 'ISO'
as $$
declare
    received constant timestamptz := clock_timestamp();
    limits constant record := analytics_batch_limits();
    events constant jsonb := case jsonb_typeof(p_batch) when 'object' then p_batch -> 'events' else p_batch end;
    refused integer[];
    rejected jsonb;
    good jsonb;
    earliest timestamptz;
    latest timestamptz;
    sent integer;
    written integer;
    accepted integer := 0;
begin
    if jsonb_typeof(events) is distinct from 'array' then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'ingest_analytics_batch: expected an array of events, or an object with one in events, got '
                || case when jsonb_typeof(p_batch) = 'object' and events is not null then analytics_batch_quote(events) || ' in events'
                    when jsonb_typeof(p_batch) = 'object' then 'an object without events'
                    else analytics_batch_quote(p_batch) end,
            hint = 'The whole batch was refused; nothing of it is stored.';
    end if;
    if jsonb_array_length(events) > limits.most_events then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('ingest_analytics_batch: expected at most %s events, got %s', limits.most_events, jsonb_array_length(events)),
            hint = 'Send them in several batches. The whole batch was refused; nothing of it is stored.';
    end if;
    -- Having waited for another batch, this one must see what that one stored: an older snapshot would not.
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = 'invalid_transaction_state',
            message = format('ingest_analytics_batch needs READ COMMITTED, this transaction is %s',
                upper(current_setting('transaction_isolation')));
    end if;

    select
        coalesce(array_agg(index), '{}'),
        coalesce(jsonb_agg(jsonb_build_object('index', index, 'field', field, 'error', error) order by index), '[]')
    into refused, rejected
    from analytics_batch_problems(events, received);
    select coalesce(jsonb_agg(said order by number), '[]')
    into good
    from jsonb_array_elements(events) with ordinality as element (said, number)
    where number - 1 <> all (refused);
    sent := jsonb_array_length(good);

    -- Batches with events of the same session, or of one that shares its lock with it, take turns until they commit;
    -- in order, so that none waits for another in a circle.
    perform pg_advisory_xact_lock(7241012, turn)
    from (
        select distinct hashtext(session_id) & 255 as turn
        from jsonb_to_recordset(good) as event (session_id text)
        order by turn
    ) as turns;

    select
        min(least(viewed_at, clicked_at, created_at)) - limits.apart, max(greatest(viewed_at, clicked_at, created_at)) + limits.apart
    into earliest, latest
    from jsonb_to_recordset(good) as event (viewed_at timestamptz, clicked_at timestamptz, created_at timestamptz);

    -- The unique key decides, and before it, because it holds the time, whether the id is known with another one.
    insert into analytics_page_views (id, session_id, user_code, share_code, contact_id, page_type, viewed_at)
    select id, session_id, user_code, nullif(share_code, ''), nullif(contact_id, ''), page_type, viewed_at
    from (
        select distinct on (id) *
        from rows from (jsonb_to_recordset(good) as (
            type text, id uuid, session_id text, user_code text, share_code text, contact_id text, page_type text,
            viewed_at timestamptz
        )) with ordinality as event (
            type, id, session_id, user_code, share_code, contact_id, page_type, viewed_at, number
        )
        where type = 'page_view'
        order by id, number
    ) as event
    where not exists (
        select from analytics_page_views as known
        where known.id = event.id
            and known.viewed_at between earliest and latest
            and known.viewed_at between event.viewed_at - limits.apart and event.viewed_at + limits.apart
    )
    order by id
    on conflict do nothing;
    get diagnostics written = row_count;
    accepted := accepted + written;

    insert into analytics_clicks (
        id, session_id, user_code, share_code, contact_id, click_target, click_category, clicked_at
    )
    select
        id, session_id, user_code, nullif(share_code, ''), nullif(contact_id, ''), nullif(click_target, ''),
        click_category, clicked_at
    from (
        select distinct on (id) *
        from rows from (jsonb_to_recordset(good) as (
            type text, id uuid, session_id text, user_code text, share_code text, contact_id text, click_target text,
            click_category text, clicked_at timestamptz
        )) with ordinality as event (
            type, id, session_id, user_code, share_code, contact_id, click_target, click_category, clicked_at, number
        )
        where type = 'click'
        order by id, number
    ) as event
    where not exists (
        select from analytics_clicks as known
        where known.id = event.id
            and known.clicked_at between earliest and latest
            and known.clicked_at between event.clicked_at - limits.apart and event.clicked_at + limits.apart
    )
    order by id
    on conflict do nothing;
    get diagnostics written = row_count;
    accepted := accepted + written;

    insert into analytics_events (
        id, project_id, visitor_id, session_id, event_type, event_label, event_data, created_at, received_at
    )
    select
        id, project_id, visitor_id, session_id, event_type, nullif(event_label, ''), coalesce(event_data, '{}'),
        created_at, received
    from (
        select distinct on (id) *
        from rows from (jsonb_to_recordset(good) as (
            type text, id uuid, project_id text, visitor_id text, session_id text, event_type text, event_label text,
            event_data jsonb, created_at timestamptz
        )) with ordinality as event (
            type, id, project_id, visitor_id, session_id, event_type, event_label, event_data, created_at, number
        )
        where type = 'event'
        order by id, number
    ) as event
    where not exists (
        select from analytics_events as known
        where known.id = event.id
            and known.created_at between earliest and latest
            and known.created_at between event.created_at - limits.apart and event.created_at + limits.apart
    )
    order by id
    on conflict do nothing;
    get diagnostics written = row_count;
    accepted := accepted + written;

    accepted := accepted + ingest_analytics_sessions(good);
    return jsonb_build_object('accepted', accepted, 'duplicates', sent - accepted, 'rejected', rejected);
end
$$;

create function ingest_analytics_sessions(p_events jsonb)
returns integer
language plpgsql
as $$
declare
    news integer;
begin
    with event as materialized (
        select distinct
            session_id, user_code, nullif(share_code, '') as share_code, nullif(contact_id, '') as contact_id,
            first_seen, coalesce(last_seen, first_seen) as last_seen,
            coalesce(page_views, 0)::integer as page_views, coalesce(clicks, 0)::integer as clicks,
            nullif(ip_address, '')::inet as ip_address, nullif(user_agent, '') as user_agent,
            nullif(referrer, '') as referrer
        from jsonb_to_recordset(p_events) as event (
            type text, session_id text, user_code text, share_code text, contact_id text,
            first_seen timestamptz, last_seen timestamptz, page_views numeric, clicks numeric,
            ip_address text, user_agent text, referrer text
        )
        where type = 'session'
    ), known as materialized (
        select
            session_id, user_code, nullif(share_code, '') as share_code, nullif(contact_id, '') as contact_id,
            first_seen, last_seen, page_views, clicks, ip_address, user_agent, referrer
        from analytics_sessions
        where session_id = any (array(select session_id from event))
    ), news as materialized (
        select * from event
        where not exists (
            select from known
            where known.session_id = event.session_id
                and known.first_seen <= event.first_seen and known.last_seen >= event.last_seen
                and known.page_views >= event.page_views and known.clicks >= event.clicks
                and (
                    known.first_seen < event.first_seen
                    or (known.user_code, known.share_code, known.contact_id, known.ip_address, known.user_agent, known.referrer)
                    is not distinct from (
                        least(known.user_code collate "C", event.user_code),
                        least(known.share_code collate "C", event.share_code),
                        least(known.contact_id collate "C", event.contact_id),
                        least(known.ip_address, event.ip_address),
                        least(known.user_agent collate "C", event.user_agent),
                        least(known.referrer collate "C", event.referrer)
                    )
                )
        )
    ), told as (
        select *, min(first_seen) over (partition by session_id) as began
        from (
            select * from news
            union all
            select * from known where session_id in (select session_id from news)
        ) as said
    ), session as materialized (
        select
            session_id, began as first_seen, max(last_seen) as last_seen,
            max(page_views) as page_views, max(clicks) as clicks,
            min(user_code collate "C") filter (where first_seen = began) as user_code,
            min(share_code collate "C") filter (where first_seen = began) as share_code,
            min(contact_id collate "C") filter (where first_seen = began) as contact_id,
            min(ip_address) filter (where first_seen = began) as ip_address,
            min(user_agent collate "C") filter (where first_seen = began) as user_agent,
            min(referrer collate "C") filter (where first_seen = began) as referrer
        from told
        group by session_id, began
    ), overtaken as (
        delete from analytics_sessions as stored
        using session
        where stored.session_id = session.session_id and stored.first_seen > session.first_seen
    ), written as (
        insert into analytics_sessions as stored (
            session_id, user_code, share_code, contact_id, first_seen, last_seen,
            page_views, clicks, ip_address, user_agent, referrer
        )
        select
            session_id, user_code, share_code, contact_id, first_seen, last_seen,
            page_views, clicks, ip_address, user_agent, referrer
        from session
        order by session_id
        on conflict (session_id, first_seen) do update set
            user_code = excluded.user_code, share_code = excluded.share_code, contact_id = excluded.contact_id,
            last_seen = greatest(stored.last_seen, excluded.last_seen),
            page_views = greatest(stored.page_views, excluded.page_views),
            clicks = greatest(stored.clicks, excluded.clicks),
            ip_address = excluded.ip_address, user_agent = excluded.user_agent, referrer = excluded.referrer
    )
    select count(*) into news from news;
    return news;
end
$$;

select close_analytics('{}', array['ingest_analytics_sessions(jsonb)', 'ingest_analytics_batch(jsonb)']::regprocedure[]);
grant execute on function ingest_analytics_batch(jsonb) to service_role;

drop function ingest_collected_events(jsonb);
drop function ingest_collected_sessions(jsonb);
drop table collector_write_keys;
