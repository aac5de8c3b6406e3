-- Up to %(limit)s page views of a UTC day, before %(before)s, that are not normalized yet. They keep their ids and times.
insert into analytics_page_views (id, session_id, user_code, share_code, contact_id, page_type, viewed_at)
select id, session_id, user_code, share_code, contact_id, page_type, created_at
from analytics_legacy_actions as legacy
where action = 'page view' and problem is null
    and created_at >= %(day)s::date::timestamp at time zone 'UTC'
    and created_at < (%(day)s::date + 1)::timestamp at time zone 'UTC' and created_at < %(before)s::timestamptz
    and not exists (
        select from analytics_page_views as known where (known.id, known.viewed_at) = (legacy.id, legacy.created_at)
    )
limit %(limit)s
on conflict do nothing;
