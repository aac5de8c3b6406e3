-- Somebody whom the policies show project %(project_id)s: its owner, a collaborator, an admin.
select user_id
from (
    select account.user_id::text as user_id, 1 as choice
    from project
    join account on account.id = project.account_id
    where project.project_id::text = %(project_id)s
    union all
    select account_collaborator.user_id::text, 2
    from project
    join account_collaborator on account_collaborator.account_id = project.account_id
    where project.project_id::text = %(project_id)s
    union all
    select user_id::text, 3 from admin_users
) as person
order by choice, user_id
limit 1;
