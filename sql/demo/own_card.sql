insert into card_owner (user_code, user_id) values (%(user_code)s, %(user_id)s);
