-- Hours of a project that were aggregated and have been written to since: they count with the next run.
select count(distinct hour_bucket) as hours, min(hour_bucket) as oldest
from analytics_dirty_hours
where project_id = %(project_id)s
    and hour_bucket < (select aggregated_until from analytics_progress where aggregate = 'hours');
