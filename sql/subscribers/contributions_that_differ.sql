-- Made from sql/templates/subscribers/contributions_that_differ.sql.jinja by `make sql`; edit that.
-- Days and people whose stored contributions and the lake's differ. Needs a temporary table lake_contributions (like
-- subscriber_daily_contributions) and set pipeline.from_day / pipeline.to_day.
select
    coalesce(stored.export_day, lake.export_day) as export_day,
    coalesce(stored.distinct_id, lake.distinct_id) as distinct_id,
    case when stored.distinct_id is null then 'only in the lake'
        when lake.distinct_id is null then 'only in Postgres'
        else 'values differ' end as difference
from (
    select * from subscriber_daily_contributions
    where export_day between current_setting('pipeline.from_day')::date and current_setting('pipeline.to_day')::date
) as stored
full join lake_contributions as lake
    on lake.export_day = stored.export_day and lake.distinct_id = stored.distinct_id
where stored is distinct from lake
order by 1, 2
