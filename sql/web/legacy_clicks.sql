-- Up to %(limit)s clicks of a UTC day, before %(before)s, that are not normalized yet. They keep their ids and times.
insert into analytics_clicks (
    id, session_id, user_code, share_code, contact_id, click_target, click_category, clicked_at
)
select id, session_id, user_code, share_code, contact_id, click_target, click_category, created_at
from analytics_legacy_actions as legacy
where action = 'click' and problem is null
    and created_at >= %(day)s::date::timestamp at time zone 'UTC'
    and created_at < (%(day)s::date + 1)::timestamp at time zone 'UTC' and created_at < %(before)s::timestamptz
    and not exists (
        select from analytics_clicks as known where (known.id, known.clicked_at) = (legacy.id, legacy.created_at)
    )
limit %(limit)s
on conflict do nothing;
