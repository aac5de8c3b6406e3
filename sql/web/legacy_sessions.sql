-- Sessions that began on a UTC day, before %(before)s, from their legacy actions; a session ends within the day after it
-- began. Run again after late actions it moves a session's start and refreshes its counters. A session that went on in
-- both forms has a row of the client's, which began later: what that says beyond the legacy actions is kept. Answers with
-- how many rows it wrote.
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
        and min(created_at) < %(before)s::timestamptz
), overtaken as (
    delete from analytics_sessions as known
    using started
    where known.session_id = started.session_id and known.first_seen > started.first_seen
    returning known.session_id, known.last_seen, known.page_views, known.clicks
), went_on as (
    select session_id, max(last_seen) as last_seen, max(page_views) as page_views, max(clicks) as clicks
    from overtaken
    group by session_id
), written as (
    insert into analytics_sessions as known (
        session_id, user_code, share_code, contact_id, first_seen, last_seen,
        page_views, clicks, ip_address, user_agent, referrer
    )
    select
        session_id, user_code, share_code, contact_id, first_seen, greatest(started.last_seen, went_on.last_seen),
        greatest(started.page_views, went_on.page_views), greatest(started.clicks, went_on.clicks),
        ip_address, user_agent, referrer
    from started
    left join went_on using (session_id)
    where not exists (
        select from analytics_sessions as earlier
        where earlier.session_id = started.session_id and earlier.first_seen < started.first_seen
    )
    on conflict (session_id, first_seen) do update set
        last_seen = greatest(known.last_seen, excluded.last_seen),
        page_views = greatest(known.page_views, excluded.page_views), clicks = greatest(known.clicks, excluded.clicks)
    where known.last_seen < excluded.last_seen
        or known.page_views < excluded.page_views or known.clicks < excluded.clicks
    returning 1
)
select (select count(*) from written) as written, (select count(*) from overtaken) as overtaken;
