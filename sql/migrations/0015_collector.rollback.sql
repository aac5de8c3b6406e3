drop table collector_write_keys;
