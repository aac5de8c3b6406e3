-- The first and the last UTC day with legacy actions; null when there are none.
select
    (min(created_at) at time zone 'UTC')::date as first_day,
    (max(created_at) at time zone 'UTC')::date as last_day
from analytics_legacy_actions;
