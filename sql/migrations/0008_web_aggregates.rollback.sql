drop table
    analytics_events_hourly_agg, analytics_events_daily_agg, analytics_events_daily_totals,
    analytics_daily_user_stats, analytics_daily_group_stats, analytics_daily_contact_stats,
    analytics_daily_group_contact_stats, analytics_daily_page_stats, analytics_daily_click_targets, analytics_daily_members, analytics_progress;
drop type analytics_scope;
