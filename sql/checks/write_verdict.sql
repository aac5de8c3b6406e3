-- A verdict. `wrong` is where the check found something wrong, null where it cannot tell: then all that it looked at.
insert into check_verdicts (check_name, looked_at, passed, conclusive, severity, summary, fix, figures, stands)
select
    %(check)s, told.looked_at, %(passed)s, %(conclusive)s, %(severity)s, %(summary)s, %(fix)s, %(figures)s,
    case
        when %(passed)s then '{}'
        when isempty(told.looked_at * told.wrong) then tstzmultirange(told.looked_at)
        else tstzmultirange(told.looked_at * told.wrong)
    end
from (
    select %(looked_at)s::tstzrange as looked_at, coalesce(%(wrong)s::tstzrange, '(,)') as wrong
) as told
