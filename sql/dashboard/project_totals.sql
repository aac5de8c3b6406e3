-- A project's totals of the days from %(from)s to before %(to)s: of all, by type, and one type's by label. More than 91
-- days have no exact uniques: then these are null, and the events are summed over spans of at most 91.
with span as (
    select
        start::date as first, least(start::date + 91, %(to)s::date) as after_last,
        %(to)s::date - %(from)s::date <= 91 as exact
    from generate_series(%(from)s::date::timestamp, %(to)s::date::timestamp - interval '1 day', interval '91 days') as start
)
select
    level, event_type, event_label, sum(event_count)::bigint as events,
    sum(unique_visitors) filter (where exact)::bigint as unique_visitors,
    sum(unique_sessions) filter (where exact)::bigint as unique_sessions
from span
cross join lateral analytics_event_totals(%(project_id)s, first, after_last)
where level in ('all', 'type') or (level = 'label' and event_type = %(event_type)s)
group by level, event_type, event_label
order by level, events desc, event_type, event_label;
