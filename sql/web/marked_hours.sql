-- Hours that aggregation has to take, oldest first. Marks from behind the raw floor are of rows that will be refused.
select hour_bucket, count(*) as marks
from analytics_dirty_hours
where hour_bucket >= (select raw_floor from analytics_retention)
group by hour_bucket
order by hour_bucket;
