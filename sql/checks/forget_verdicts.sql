-- Of each check the newest stay, and those that stand.
delete from check_verdicts
where check_name = %(check)s and isempty(stands) and id not in (
    select id from check_verdicts where check_name = %(check)s order by id desc limit %(kept)s
)
