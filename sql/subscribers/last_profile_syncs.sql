-- The newest snapshots of profiles that were committed. Parameters: source, and `most` of them.
select
    (sync_metadata ->> 'people')::bigint as people,
    (sync_metadata ->> 'new')::bigint as new,
    (sync_metadata ->> 'changed')::bigint as changed,
    (sync_metadata ->> 'unchanged')::bigint as unchanged,
    sync_metadata ->> 'comparison_error' as comparison_error
from sync_logs
where source = %(source)s and status = 'completed'
order by id desc
limit %(most)s
