-- How profiles stand. Parameters: source, and profiles_lock: the class of the lock that a snapshot under way holds
-- (subscribers/locks.py). `error` is of the newest snapshot, if that failed or its process died.
select
    people.live, people.deleted,
    (select taken_at from profile_snapshots order by id desc limit 1) as last_snapshot,
    (
        select sync_metadata from sync_logs where source = %(source)s and status = 'completed' order by id desc limit 1
    ) as last_sync,
    (
        select
            case
                when newest.status = 'failed' then newest.error
                when newest.status = 'running' and not exists (
                    select from pg_locks
                    where locktype = 'advisory' and granted
                        and database = (select oid from pg_database where datname = current_database())
                        and classid::bigint = %(profiles_lock)s and objid = 0
                ) then 'the process died'
            end
        from sync_logs as newest
        where newest.source = %(source)s
        order by newest.id desc
        limit 1
    ) as error
from (
    select count(*) filter (where deleted_at is null) as live, count(*) filter (where deleted_at is not null) as deleted
    from subscriber_profiles
) as people
