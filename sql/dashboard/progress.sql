-- The moment of which all of a page is, up to when each kind of aggregate holds everything, and when that was written.
select
    now() as now,
    (select case when isfinite(aggregated_until) then aggregated_until end from analytics_progress where aggregate = 'hours') as hours_until,
    (select case when isfinite(aggregated_until) then aggregated_until end from analytics_progress where aggregate = 'days') as days_until,
    (select case when isfinite(aggregated_until) then aggregated_until end from analytics_progress where aggregate = 'cards') as cards_until,
    (select max(last_run_at) from analytics_progress) as last_run_at;
