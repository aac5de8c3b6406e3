-- Who may send to the collector (docs/collector.md).

-- Of a key only its hash is kept. A browser shows its key to everybody: what protects a project is `origins`, the rate
-- limit, and that a key may be ended.
create table collector_write_keys (
    key_hash bytea primary key check (octet_length(key_hash) = 32),
    hint text not null,                                 -- how the key begins
    project_id text not null check (octet_length(project_id) between 1 and 200),
    origins text[] not null default '{}',               -- of pages that may send with it; none: servers alone
    created_at timestamptz not null default now(),
    ended_at timestamptz
);
create index on collector_write_keys (hint);
select close_analytics(array['collector_write_keys']::regclass[], '{}');
grant select, insert, update, delete on collector_write_keys to service_role;
create policy service on collector_write_keys to service_role using (true) with check (true);
comment on table collector_write_keys is 'Who may send events to the collector, of which project, from which pages.';
