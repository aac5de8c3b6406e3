insert into admin_users (user_id) values (%(user_id)s);
