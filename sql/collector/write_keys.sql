select key_hash, project_id, origins from collector_write_keys where ended_at is null
