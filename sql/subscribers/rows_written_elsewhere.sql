-- How many rows this transaction wrote so far, its rolled back parts included, to tables other than the temporary copy
-- that the check set_based_equals_loop makes.
select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint
from pg_stat_xact_user_tables
where relid <> 'pg_temp.subscribers_insights_v2'::regclass
