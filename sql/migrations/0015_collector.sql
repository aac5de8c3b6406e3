-- What the collector needs (docs/collector.md): write keys, and to store the events of several senders in one call.

-- Of a key only its hash is kept. A browser shows its key to everybody: what protects a project is `origins`, the rate
-- limit, and that a key may be ended.
create table collector_write_keys (
    key_hash bytea primary key check (octet_length(key_hash) = 32),
    hint text not null,                                 -- how the key begins
    project_id text not null check (octet_length(project_id) between 1 and 200),
    origins text[] not null default '{}',               -- of pages that may send with it; none: servers alone
    created_at timestamptz not null default now(),
    ended_at timestamptz
);
create index on collector_write_keys (hint);
select close_analytics(array['collector_write_keys']::regclass[], '{}');
grant select, insert, update, delete on collector_write_keys to service_role;
create policy service on collector_write_keys to service_role using (true) with check (true);

-- Stores events, those that are right, once each; answers the places of those that were stored, and why others were
-- refused. A page view, click or event is known by its id: sent again, also with its time corrected, it changes nothing.
-- A session has one row however many events tell of it. However many events: several senders' share one call, which
-- costs 10 ms and a tenth more for each event.
create function ingest_collected_events(p_events jsonb)
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
    homeless text;              -- tables without a partition for now
    refused integer[];
    rejected jsonb;
    good jsonb;
    places bigint[];            -- of the good ones in p_events, counted from 0
    news bigint[] := '{}';      -- which of the good ones were stored, counted from 1
    earliest timestamptz;
    latest timestamptz;
begin
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
    from analytics_batch_problems(p_events, received);
    -- What happens now is right, and a sender that is told otherwise forgets it: it has to come again.
    if refused <> '{}' then
        select string_agg(raw_table, ', ' order by raw_table)
        into homeless
        from unnest(array['analytics_events', 'analytics_sessions', 'analytics_page_views', 'analytics_clicks']) as needed (raw_table)
        where exists (
            select from unnest(array[received, received + limits.ahead]) as moment
            where not exists (
                select from analytics_partitions as week
                where week.raw_table = needed.raw_table and not detach_pending and moment >= week_start and moment < week_end
            )
        );
    end if;
    if homeless is not null then
        raise exception using
            errcode = 'object_not_in_prerequisite_state',
            message = format('ingest_analytics_batch: no partition for what happens now in %s', homeless),
            hint = 'Nothing of the batch is stored: select make_analytics_partitions(current_date, current_date + 28), '
                'and send it again.';
    end if;
    select coalesce(jsonb_agg(said order by number), '[]'), coalesce(array_agg(number - 1 order by number), '{}')
    into good, places
    from jsonb_array_elements(p_events) with ordinality as element (said, number)
    where number - 1 <> all (refused);

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
    with written as (
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
        on conflict do nothing
        returning id
    )
    select news || coalesce(array_agg(number), '{}')
    into news
    from (
        select min(number) as number
        from rows from (jsonb_to_recordset(good) as (type text, id uuid)) with ordinality as event (type, id, number)
        where type = 'page_view' and id in (select id from written)
        group by id
    ) as first;

    with written as (
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
        on conflict do nothing
        returning id
    )
    select news || coalesce(array_agg(number), '{}')
    into news
    from (
        select min(number) as number
        from rows from (jsonb_to_recordset(good) as (type text, id uuid)) with ordinality as event (type, id, number)
        where type = 'click' and id in (select id from written)
        group by id
    ) as first;

    with written as (
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
        on conflict do nothing
        returning id
    )
    select news || coalesce(array_agg(number), '{}')
    into news
    from (
        select min(number) as number
        from rows from (jsonb_to_recordset(good) as (type text, id uuid)) with ordinality as event (type, id, number)
        where type = 'event' and id in (select id from written)
        group by id
    ) as first;

    news := news || ingest_collected_sessions(good);
    return jsonb_build_object(
        'accepted', (select coalesce(jsonb_agg(places[number] order by number), '[]') from unnest(news) as number),
        'rejected', rejected
    );
end
$$;

-- Sessions as their events tell of them, in whatever order these come: from the earliest first_seen to the latest
-- last_seen, with the highest counters; whose the session is, and where from, as the events with the earliest
-- first_seen say (where those contradict each other, the lesser text). Answers with the places of those that told news,
-- counted from 1; of those that say the same the first.
create function ingest_collected_sessions(p_events jsonb)
returns bigint[]
language plpgsql
as $$
declare
    numbers bigint[];
begin
    with event as materialized (
        select
            min(number) as number, session_id, user_code,
            nullif(share_code, '') as share_code, nullif(contact_id, '') as contact_id,
            first_seen, coalesce(last_seen, first_seen) as last_seen,
            coalesce(page_views, 0)::integer as page_views, coalesce(clicks, 0)::integer as clicks,
            nullif(ip_address, '')::inet as ip_address, nullif(user_agent, '') as user_agent,
            nullif(referrer, '') as referrer
        from rows from (jsonb_to_recordset(p_events) as (
            type text, session_id text, user_code text, share_code text, contact_id text,
            first_seen timestamptz, last_seen timestamptz, page_views numeric, clicks numeric,
            ip_address text, user_agent text, referrer text
        )) with ordinality as event (
            type, session_id, user_code, share_code, contact_id, first_seen, last_seen, page_views, clicks,
            ip_address, user_agent, referrer, number
        )
        where type = 'session'
        group by 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
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
            select
                session_id, user_code, share_code, contact_id, first_seen, last_seen, page_views, clicks, ip_address,
                user_agent, referrer
            from news
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
    select coalesce(array_agg(number), '{}') into numbers from news;
    return numbers;
end
$$;

-- The same for one sender: a batch is refused whole when it is none, or has too many events.
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
    limits constant record := analytics_batch_limits();
    events constant jsonb := case jsonb_typeof(p_batch) when 'object' then p_batch -> 'events' else p_batch end;
    outcome jsonb;
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
    outcome := ingest_collected_events(events);
    return jsonb_build_object(
        'accepted', jsonb_array_length(outcome -> 'accepted'),
        'duplicates', jsonb_array_length(events) - jsonb_array_length(outcome -> 'accepted') - jsonb_array_length(outcome -> 'rejected'),
        'rejected', outcome -> 'rejected'
    );
end
$$;

drop function ingest_analytics_sessions(jsonb);
-- ingest_analytics_batch again too: replacing a function takes its search_path away.
select close_analytics('{}', array[
    'ingest_collected_events(jsonb)', 'ingest_collected_sessions(jsonb)', 'ingest_analytics_batch(jsonb)'
]::regprocedure[]);
grant execute on function ingest_collected_events(jsonb), ingest_analytics_batch(jsonb) to service_role;

comment on table collector_write_keys is 'Who may send events to the collector, of which project, from which pages.';
comment on function ingest_collected_events(jsonb) is 'What ingest_analytics_batch does, for the events of several senders.';
