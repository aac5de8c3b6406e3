-- A person's totals.
select distinct_id, updated_at, {columns} from subscribers_insights_v2 where distinct_id = %(id)s
