select make_analytics_partitions(current_date, current_date + 28)
