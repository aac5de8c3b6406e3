-- Whose lake files and whose totals these are: two databases may share a lake, two projects may not share a database.
create table pipeline_identity (
    only_row boolean primary key default true check (only_row),
    id uuid not null default gen_random_uuid(),
    project_id bigint                      -- of the first sync
);
insert into pipeline_identity default values;
