-- Of a UTC day, before %(before)s: how many legacy rows are not normalized yet, and how many page views and clicks there
-- are that do not come from legacy rows, for clients wrote them, with the first one's time.
with legacy as materialized (
    select id, created_at, action
    from analytics_legacy_actions
    where problem is null and action in ('page view', 'click')
        and created_at >= %(day)s::date::timestamp at time zone 'UTC'
        and created_at < (%(day)s::date + 1)::timestamp at time zone 'UTC' and created_at < %(before)s::timestamptz
), normalized as materialized (
    select id, viewed_at as happened_at, 'page view' as action
    from analytics_page_views
    where viewed_at >= %(day)s::date::timestamp at time zone 'UTC'
        and viewed_at < (%(day)s::date + 1)::timestamp at time zone 'UTC' and viewed_at < %(before)s::timestamptz
    union all
    select id, clicked_at, 'click'
    from analytics_clicks
    where clicked_at >= %(day)s::date::timestamp at time zone 'UTC'
        and clicked_at < (%(day)s::date + 1)::timestamp at time zone 'UTC' and clicked_at < %(before)s::timestamptz
)
select
    count(*) filter (where normalized.id is null) as waiting,
    count(*) filter (where legacy.id is null) as of_clients,
    min(normalized.happened_at) filter (where legacy.id is null) as first_of_clients
from legacy
full join normalized
    on (normalized.id, normalized.happened_at, normalized.action) = (legacy.id, legacy.created_at, legacy.action);
