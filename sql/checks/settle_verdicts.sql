-- What failed before and is looked at again stands no more. An inconclusive verdict takes the place of those before it.
update check_verdicts
set stands = stands - tstzmultirange(%(looked_at)s::tstzrange)
where check_name = %(check)s and not isempty(stands) and (%(conclusive)s or not conclusive)
