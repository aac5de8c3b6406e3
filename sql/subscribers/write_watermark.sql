-- Moves a source's watermark forward, never back, and counts what was new. Parameters by name.
insert into sync_watermarks as watermark (source, last_event_time, total_events_synced, last_synced_at, notes)
values (%(source)s, %(last_event_time)s, %(new_events)s, clock_timestamp(), %(notes)s)
on conflict (source) do update set
    last_event_time = greatest(watermark.last_event_time, excluded.last_event_time),
    total_events_synced = watermark.total_events_synced + excluded.total_events_synced,
    last_synced_at = excluded.last_synced_at,
    notes = excluded.notes
