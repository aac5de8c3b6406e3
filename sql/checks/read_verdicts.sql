-- Of each check what it says now: the newest of the worst that stand (that it could not look tells least), else its
-- newest verdict. `looked_last_at`: when it ran last, of whatever days. `stands_from`, `stands_until`: null where what
-- stands has no beginning or end.
with newest as (
    select distinct on (check_name) * from check_verdicts order by check_name, id desc
), standing as (
    select distinct on (check_name) * from check_verdicts
    where not isempty(stands)
    order by check_name, severity = 'error' desc, conclusive desc, id desc
)
select
    check_name as check, said.checked_at, newest.checked_at as looked_last_at,
    said.passed, said.conclusive, said.severity, said.summary, said.fix, said.figures,
    lower(range_merge(said.stands)) as stands_from, upper(range_merge(said.stands)) as stands_until
from newest
left join standing using (check_name)
cross join lateral (
    select coalesce(standing.id, newest.id) as id
) as chosen
join check_verdicts as said using (check_name)
where said.id = chosen.id
order by check_name
