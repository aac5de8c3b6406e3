select most_events, most_levels, most_count, ahead from analytics_batch_limits()
