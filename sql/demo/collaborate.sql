insert into account_collaborator (account_id, user_id)
select account_id, %(user_id)s from project where project_id = any (%(project_ids)s);
