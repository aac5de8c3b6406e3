-- service_role stays, and so do its rights on tables: it may have had them before, and other databases may use it.
drop function upsert_sync_watermark(text, timestamptz, bigint, text);
drop function upsert_subscribers_incremental_add_loop(jsonb);
drop function upsert_subscribers_incremental_loop(jsonb);
drop function upsert_subscribers_incremental_add(jsonb);
drop function upsert_subscribers_incremental(jsonb);
drop function read_subscriber_profiles(jsonb);
drop function unknown_profile_keys(jsonb);
drop function profile_time(bigint, text, text);
drop function profile_number(bigint, text, text);
drop function profile_count(bigint, text, text);
drop function refuse_profile(bigint, text, text, text);
