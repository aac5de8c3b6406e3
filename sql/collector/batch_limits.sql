select most_events, most_levels, most_count from analytics_batch_limits()
