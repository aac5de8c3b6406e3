select hint, project_id, origins, created_at, ended_at from collector_write_keys order by created_at, hint
