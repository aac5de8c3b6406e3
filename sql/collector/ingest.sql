select ingest_collected_events(%s)
