-- Whose profile has the text in its name or e-mail address.
select distinct_id
from subscriber_profiles
where strpos(lower(concat_ws(' ', properties ->> '$name', properties ->> '$email')), lower(%(search)s)) > 0
