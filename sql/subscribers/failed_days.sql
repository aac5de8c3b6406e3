-- Days whose newest sync failed, or is said to run although no session holds the day's advisory lock: its process died.
-- Parameter day_lock: the lock's class (subscribers/locks.py); its object is the day's number, 0001-01-01 being 1.
with newest as (
    select distinct on (sync_metadata ->> 'export_day') (sync_metadata ->> 'export_day')::date as day, status
    from sync_logs
    where sync_metadata ->> 'export_day' is not null
    order by sync_metadata ->> 'export_day', id desc
)
select day
from newest
where status = 'failed' or (status = 'running' and not exists (
    select from pg_locks
    where locktype = 'advisory' and granted
        and database = (select oid from pg_database where datname = current_database())
        and classid::bigint = %(day_lock)s and objid::bigint = day - date '0001-01-01' + 1
))
order by day
