-- A project, and the account of the person whose it is.
with owner as (
    insert into account (user_id) values (%(user_id)s) returning id
)
insert into project (project_id, account_id) select %(project_id)s, id from owner;
