-- Columns of totals that a reader wants: without the times at which properties were said, and of the last write.
select attname as name, format_type(atttypid, null) as type
from pg_attribute as of_totals
where attrelid = 'subscribers_insights_v2'::regclass and attnum > 0 and not attisdropped
    and attname <> all (array['distinct_id', 'updated_at'])
    and not exists (
        select from pg_attribute as property
        where property.attrelid = of_totals.attrelid and of_totals.attname = property.attname || '_at'
    )
order by attnum
