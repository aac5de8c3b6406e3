-- The same of the days of cards.
select day, count(*) as marks
from analytics_dirty_cards
where day >= (select (raw_floor at time zone 'UTC')::date from analytics_retention)
group by day
order by day;
