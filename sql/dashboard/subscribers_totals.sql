-- How many people there are, and of them those that a condition finds, in one reading of the table.
select
    count(*) as people,
    count(*) filter (where last_event_time >= now() - interval '7 days') as active_in_7_days,
    count(*) filter (where last_event_time >= now() - interval '30 days') as active_in_30_days,
    count(*) filter (where first_event_time >= now() - interval '30 days') as new_in_30_days,
    count(*) filter (where {found}) as found,
    (select count(*) from subscriber_profiles where deleted_at is null) as profiles
from subscribers_insights_v2
