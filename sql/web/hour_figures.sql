-- What the hours of %(buckets)s hold, and how many of their rows were written since %(since)s. Project by project,
-- which the key's order makes quick: all projects of an hour lie far apart in it.
with recursive project as (
    select min(project_id) as project_id from analytics_events_hourly_agg
    union all
    select (
        select min(project_id) from analytics_events_hourly_agg as further
        where further.project_id > project.project_id
    )
    from project
    where project_id is not null
)
select
    'analytics_events_hourly_agg' as of_table, hour_bucket as bucket,
    sum(rows)::bigint as rows, sum(counted)::bigint as counted, sum(changed)::bigint as changed
from project
cross join lateral (
    select
        hour_bucket, count(*) as rows, sum(event_count) as counted,
        count(*) filter (where updated_at >= %(since)s) as changed
    from analytics_events_hourly_agg as stored
    where stored.project_id = project.project_id and hour_bucket = any (%(buckets)s)
    group by hour_bucket
) as of_project
group by hour_bucket;
