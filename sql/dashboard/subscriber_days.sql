-- What the newest days added to a person's totals.
select export_day, events_processed, {columns}
from subscriber_daily_contributions
where distinct_id = %(id)s
order by export_day desc
limit %(most)s
