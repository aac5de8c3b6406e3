-- Sessions that began on a UTC day, from their legacy actions; a session ends within the day after it began. Run again
-- after late actions it moves a session's start and refreshes its counters. Answers with how many rows it wrote.
with started as materialized (
    select
        session_id,
        min(created_at) as first_seen,
        max(created_at) as last_seen,
        count(*) filter (where action = 'page view') as page_views,
        count(*) filter (where action = 'click') as clicks,
        (array_agg(user_code order by created_at, id))[1] as user_code,
        (array_agg(share_code order by created_at, id))[1] as share_code,
        (array_agg(contact_id order by created_at, id))[1] as contact_id,
        analytics_ip_address((array_agg(ip_address order by created_at, id) filter (where ip_address is not null))[1]) as ip_address,
        (array_agg(user_agent order by created_at, id) filter (where user_agent is not null))[1] as user_agent,
        (array_agg(referrer order by created_at, id) filter (where referrer is not null))[1] as referrer
    from analytics_legacy_actions
    where problem is null
        and created_at >= (%(day)s::date - 1)::timestamp at time zone 'UTC'
        and created_at < (%(day)s::date + 2)::timestamp at time zone 'UTC'
    group by session_id
    having min(created_at) >= %(day)s::date::timestamp at time zone 'UTC'
        and min(created_at) < (%(day)s::date + 1)::timestamp at time zone 'UTC'
), overtaken as (
    delete from analytics_sessions as known
    using started
    where known.session_id = started.session_id and known.first_seen > started.first_seen
    returning 1
), written as (
    insert into analytics_sessions as known (
        session_id, user_code, share_code, contact_id, first_seen, last_seen,
        page_views, clicks, ip_address, user_agent, referrer
    )
    select
        session_id, user_code, share_code, contact_id, first_seen, last_seen,
        page_views, clicks, ip_address, user_agent, referrer
    from started
    where not exists (
        select from analytics_sessions as earlier
        where earlier.session_id = started.session_id and earlier.first_seen < started.first_seen
    )
    on conflict (session_id, first_seen) do update set
        last_seen = excluded.last_seen, page_views = excluded.page_views, clicks = excluded.clicks
    where (known.last_seen, known.page_views, known.clicks)
        is distinct from (excluded.last_seen, excluded.page_views, excluded.clicks)
    returning 1
)
select (select count(*) from written) as written, (select count(*) from overtaken) as overtaken;
