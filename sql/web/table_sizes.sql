-- The room that the web tables take, largest first. A table none of whose parts was ever analyzed has no estimate, which
-- Postgres counts as -1.
select
    tablename, size, bytes, partitions,
    case when analyzed then coalesce(estimated_rows, 0) end as estimated_rows
from analytics_table_sizes
cross join lateral (
    select coalesce(bool_or(reltuples >= 0), false) as analyzed
    from pg_class
    where relkind = 'r' and (
        oid = tablename::regclass or oid in (select relid from pg_partition_tree(tablename::regclass))
    )
) as parts
order by bytes desc, tablename;
