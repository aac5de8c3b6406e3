-- Marks the hours from %(from)s to before %(to)s in which there are raw rows or aggregates, whether or not somebody
-- wrote to them: they are computed again. Hours behind the raw floor are left alone; their aggregates are all there is.
-- In order of time: marks are taken as they came, and a batch of them should be of as few days as can be.
insert into analytics_dirty_hours (project_id, hour_bucket)
select project_id, date_trunc('hour', created_at, 'UTC')
from analytics_events
where created_at >= %(from)s::timestamptz and created_at < %(to)s::timestamptz
    and created_at >= (select raw_floor from analytics_retention)
union
select project_id, hour_bucket
from analytics_events_hourly_agg
where hour_bucket >= %(from)s::timestamptz and hour_bucket < %(to)s::timestamptz
    and hour_bucket >= (select raw_floor from analytics_retention)
order by 2, 1;
