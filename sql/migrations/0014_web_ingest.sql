-- ingest_analytics_batch: what senders of web events call, and what the collector calls for browsers (docs/web.md).

-- What each type of event says, field by field: these are all the fields there are, and the limits of the raw tables.
-- `holds` is how a value is read; `most` counts bytes, of data the bytes of its JSON.
create function analytics_batch_fields()
returns table (type text, place integer, field text, holds text, required boolean, most integer, choices text[])
language sql
immutable
as $$
    select type, place::integer, field, holds, required, most, choices
    from (
        values
        ('session', 1, 'id', 'uuid', true, null::integer, null::text[]),
        ('session', 2, 'session_id', 'text', true, 200, null),
        ('session', 3, 'user_code', 'text', true, 200, null),
        ('session', 4, 'share_code', 'text', false, 200, null),
        ('session', 5, 'contact_id', 'text', false, 200, null),
        ('session', 6, 'first_seen', 'time', true, null, null),
        ('session', 7, 'last_seen', 'time', false, null, null),
        ('session', 8, 'page_views', 'count', false, null, null),
        ('session', 9, 'clicks', 'count', false, null, null),
        ('session', 10, 'ip_address', 'address', false, null, null),
        ('session', 11, 'user_agent', 'text', false, 2000, null),
        ('session', 12, 'referrer', 'text', false, 4000, null),

        ('page_view', 1, 'id', 'uuid', true, null, null),
        ('page_view', 2, 'session_id', 'text', true, 200, null),
        ('page_view', 3, 'user_code', 'text', true, 200, null),
        ('page_view', 4, 'share_code', 'text', false, 200, null),
        ('page_view', 5, 'contact_id', 'text', false, 200, null),
        ('page_view', 6, 'page_type', 'choice', true, null, array['home', 'contact', 'profile', 'portfolio']),
        ('page_view', 7, 'viewed_at', 'time', true, null, null),

        ('click', 1, 'id', 'uuid', true, null, null),
        ('click', 2, 'session_id', 'text', true, 200, null),
        ('click', 3, 'user_code', 'text', true, 200, null),
        ('click', 4, 'share_code', 'text', false, 200, null),
        ('click', 5, 'contact_id', 'text', false, 200, null),
        ('click', 6, 'click_target', 'text', false, 500, null),
        ('click', 7, 'click_category', 'choice', true, null,
            array['contact', 'messaging', 'social', 'portfolio', 'aiAgent', 'other']),
        ('click', 8, 'clicked_at', 'time', true, null, null),

        ('event', 1, 'id', 'uuid', true, null, null),
        ('event', 2, 'project_id', 'text', true, 200, null),
        ('event', 3, 'visitor_id', 'text', true, 500, null),
        ('event', 4, 'session_id', 'text', true, 200, null),
        ('event', 5, 'event_type', 'text', true, 200, null),
        ('event', 6, 'event_label', 'text', false, 500, null),
        ('event', 7, 'event_data', 'data', false, 16384, null),
        ('event', 8, 'created_at', 'time', true, null, null)
    ) as fields (type, place, field, holds, required, most, choices)
$$;

-- Of a batch, and of what its fields may hold. A clock within `ahead` of ours is right.
create function analytics_batch_limits(
    out most_events integer, out most_levels integer, out most_count integer, out ahead interval, out apart interval
)
language sql
immutable
as $$
    select 500, 8, 2147483647, interval '5 minutes', interval '7 days'
$$;

-- PostgreSQL 15 has no way to ask whether a text is a time. Only what names its zone is handed to it, which would take
-- 'now' and 'infinity' too.
create function analytics_batch_time(p_text text)
returns timestamptz
language plpgsql
immutable
as $$
begin
    if p_text ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)$' then
        return p_text::timestamptz;
    end if;
    return null;
exception when data_exception then
    return null;
end
$$;

-- Why data is refused; null when it is not. Each test bounds what the next may cost: a number of 131,072 digits is six
-- bytes of JSON.
create function analytics_batch_data_problem(p_data jsonb, p_most integer, p_most_levels integer)
returns text
language sql
immutable
as $$
    select case
        when jsonb_typeof(p_data) <> 'object' then 'expected an object'
        when pg_column_size(p_data) > 8 * p_most        -- a byte of text is at most four of jsonb
            then format('expected at most %s bytes of JSON, got more', p_most)
        when jsonb_path_exists(
            p_data, format('strict $.**{%s} ? (@.type() == "object" || @.type() == "array")', p_most_levels)::jsonpath
        ) then format('expected at most %s levels of objects and arrays, got more', p_most_levels)
        when jsonb_path_exists(
            p_data,
            'strict $.** ? (@.type() == "number"
                && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308 || @ > -4e-324 && @ < 4e-324 && @ != 0))'
        ) then 'expected numbers of double precision, got one beyond'
        when octet_length(p_data::text) > p_most
            then format('expected at most %s bytes of JSON, got %s', p_most, octet_length(p_data::text))
    end
$$;

-- A value as an error quotes it. Of objects and arrays only that, for their text may be of any length.
create function analytics_batch_quote(p_value jsonb)
returns text
language sql
immutable
as $$
    select case coalesce(jsonb_typeof(p_value), 'null')
        when 'null' then 'nothing'
        when 'object' then 'an object'
        when 'array' then 'an array'
        when 'string' then case
            when length(p_value #>> '{}') > 60
                then '"' || left(p_value #>> '{}', 60) || '…" (' || octet_length(p_value #>> '{}') || ' bytes)'
            else '"' || (p_value #>> '{}') || '"'
        end
        else left(p_value::text, 60)
    end
$$;

-- The events that are refused: each with its first problem, in the order of its fields.
create function analytics_batch_problems(p_events jsonb, p_received timestamptz)
returns table (index integer, field text, error text)
language sql
stable
as $$
    with floor as materialized (
        select raw_floor from analytics_retention
    ), week as materialized (
        select raw_table, week_start, week_end from analytics_partitions where not detach_pending
    ), reach as materialized (
        select raw_table, min(week_start) as first_week, max(week_end) as last_week from week group by raw_table
    ), rule as materialized (
        select
            *,
            case field
                when 'first_seen' then 'analytics_sessions'
                when 'viewed_at' then 'analytics_page_views'
                when 'clicked_at' then 'analytics_clicks'
                when 'created_at' then 'analytics_events'
            end as raw_table,
            case holds
                when 'uuid' then 'a UUID such as 019a9c5e-7d3c-7a31-8f5b-0242ac120002'
                when 'text' then format(case when required then 'text of 1 to %s bytes' else 'text of at most %s bytes' end, most)
                when 'choice' then 'one of ' || array_to_string(choices, ', ')
                when 'count' then format('a whole number from 0 to %s', most_count)
                when 'time' then 'a time with its zone, such as 2026-01-31T09:30:00.123Z'
                when 'address' then 'an IP address'
            end as expected
        from analytics_batch_fields(), analytics_batch_limits()
    ), event as materialized (
        select
            number::integer - 1 as index, said,
            case when jsonb_typeof(said -> 'type') = 'string' then said ->> 'type' end as type
        from jsonb_array_elements(p_events) with ordinality as element (said, number)
    ), stated as materialized (
        select event.index, said -> rule.field as value, rule.*
        from event
        join rule using (type)
    ), answered as materialized (
        select
            *,
            jsonb_typeof(value) as is_a,
            case when jsonb_typeof(value) = 'string' then value #>> '{}' end as content,
            case when jsonb_typeof(value) = 'number' then value::numeric end as number,
            case when holds = 'time' and jsonb_typeof(value) = 'string' then analytics_batch_time(value #>> '{}') end as moment
        from stated
    ), judged as (
        select
            index, place, field, moment,
            case
                when value is null or is_a = 'null' or (holds in ('text', 'address') and not required and content = '')
                    then case when required then 'expected ' || expected || ', got nothing' end
                when holds = 'data' then
                    analytics_batch_data_problem(value, most, most_levels)
                    || case when is_a <> 'object' then ', got ' || analytics_batch_quote(value) else '' end
                when case holds
                    when 'uuid' then content ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
                    when 'text' then octet_length(content) between 1 and most
                    when 'choice' then content = any (choices)
                    when 'count' then number between 0 and most_count and number = trunc(number)
                    when 'time' then moment is not null
                    when 'address' then octet_length(content) <= 100
                        and masklen(analytics_ip_address(content)) = case family(analytics_ip_address(content)) when 4 then 32 else 128 end
                end is not true then 'expected ' || expected || ', got ' || analytics_batch_quote(value)
                when moment > p_received + ahead then
                    format('expected a time no more than %s minutes ahead of ours, %s, got %s',
                        extract(epoch from ahead)::integer / 60,
                        to_char(p_received at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), analytics_batch_quote(value))
                when raw_table is not null and moment < raw_floor then
                    format('expected a time from %s on, before which raw rows are gone, got %s',
                        to_char(raw_floor at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), analytics_batch_quote(value))
                when raw_table is not null and not exists (
                    select from week
                    where week.raw_table = answered.raw_table and moment >= week_start and moment < week_end
                ) then
                    format('expected a time that has a partition (%s has them from %s to before %s), got %s', raw_table,
                        to_char(first_week at time zone 'UTC', 'YYYY-MM-DD'), to_char(last_week at time zone 'UTC', 'YYYY-MM-DD'),
                        analytics_batch_quote(value))
            end as problem
        from answered
        cross join floor
        left join reach using (raw_table)
    ), problem as (
        select index, 0 as place, null as field, 'expected an object, got ' || analytics_batch_quote(said) as problem
        from event
        where jsonb_typeof(said) <> 'object'
        union all
        select index, 0, 'type', 'expected one of session, page_view, click, event, got ' || analytics_batch_quote(said -> 'type')
        from event
        where jsonb_typeof(said) = 'object' and (type is null or type not in (select rule.type from rule))
        union all
        -- Above all for who spells names in camelCase: an optional field that nobody reads would be lost unseen.
        select
            index, 0, left(unknown, 80),
            format('expected no such field; %s has %s', type, (
                select string_agg(rule.field, ', ' order by rule.place) from rule where rule.type = event.type
            ))
        from event
        cross join lateral (
            select min(key collate "C") as unknown
            from jsonb_object_keys(said) as key
            where key <> 'type' and key not in (select rule.field from rule where rule.type = event.type)
        ) as others
        where jsonb_typeof(said) = 'object' and type in (select rule.type from rule) and unknown is not null
        union all
        select index, place, field, problem from judged where problem is not null
        union all
        select seen.index, seen.place, seen.field, 'expected a time from first_seen on, got one before it'
        from judged as seen
        join judged as began on began.index = seen.index and began.field = 'first_seen'
        where seen.field = 'last_seen' and seen.moment < began.moment
    )
    select distinct on (index)
        index, field, 'events[' || index || ']' || coalesce('.' || field, '') || ': ' || problem
    from problem
    order by index, place
$$;

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
create function ingest_analytics_batch(p_batch jsonb)
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

select close_analytics('{}', array[
    'analytics_batch_fields()', 'analytics_batch_limits()', 'analytics_batch_time(text)',
    'analytics_batch_data_problem(jsonb, integer, integer)', 'analytics_batch_quote(jsonb)',
    'analytics_batch_problems(jsonb, timestamptz)',
    'ingest_collected_events(jsonb)', 'ingest_collected_sessions(jsonb)', 'ingest_analytics_batch(jsonb)'
]::regprocedure[]);
grant execute on function
    ingest_analytics_batch(jsonb), ingest_collected_events(jsonb), analytics_batch_fields(), analytics_batch_limits()
to service_role;

comment on function ingest_analytics_batch(jsonb) is 'Stores up to 500 sessions, page views, clicks and events, each once.';
comment on function ingest_collected_events(jsonb) is 'What ingest_analytics_batch does, for the events of several senders.';
comment on function analytics_batch_fields() is 'The fields of ingest_analytics_batch''s events, and what they take.';
comment on function analytics_batch_limits() is 'How much ingest_analytics_batch takes.';
