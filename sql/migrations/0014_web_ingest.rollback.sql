drop function ingest_analytics_batch(jsonb);
drop function ingest_collected_events(jsonb);
drop function ingest_collected_sessions(jsonb);
drop function analytics_batch_problems(jsonb, timestamptz);
drop function analytics_batch_quote(jsonb);
drop function analytics_batch_data_problem(jsonb, integer, integer);
drop function analytics_batch_time(text);
drop function analytics_batch_limits();
drop function analytics_batch_fields();
