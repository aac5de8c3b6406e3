-- How far the aggregates are, and what waits. `in_use`: whether there ever were web events.
select
    (select nullif(aggregated_until, '-infinity') from analytics_progress where aggregate = 'hours') as hours_until,
    (select nullif(aggregated_until, '-infinity') from analytics_progress where aggregate = 'days') as days_until,
    (select nullif(aggregated_until, '-infinity') from analytics_progress where aggregate = 'cards') as cards_until,
    (select count(*) from analytics_dirty_hours) as marked_hours,
    (select count(*) from analytics_dirty_days) as marked_days,
    (select count(*) from analytics_dirty_cards) as marked_cards,
    (select min(hour_bucket) from analytics_dirty_hours) as oldest_marked_hour,
    least(
        (select min(day) from analytics_dirty_days),
        (select min(day) from analytics_dirty_cards),
        (select (min(hour_bucket) at time zone 'UTC')::date from analytics_dirty_hours)
    ) as oldest_marked_day,
    (select coalesce(sum(refused_rows), 0)::bigint from analytics_progress) as refused_rows,
    (select nullif(raw_floor, '-infinity') from analytics_retention) as raw_floor,
    exists (select from analytics_events) or exists (select from analytics_events_hourly_agg)
        or exists (select from analytics_page_views) or exists (select from analytics_clicks)
        or exists (select from analytics_sessions) or exists (select from analytics_daily_user_stats) as in_use;
