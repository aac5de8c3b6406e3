update collector_write_keys set ended_at = now() where hint = %(hint)s and ended_at is null
