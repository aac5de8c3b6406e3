insert into collector_write_keys (key_hash, hint, project_id, origins)
values (%(key_hash)s, %(hint)s, %(project_id)s, %(origins)s)
