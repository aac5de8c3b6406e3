-- What the newest snapshot changed. Parameters: taken_at, and `most` rows at most.
select distinct_id, change, property, left(old_value #>> '{}', 80) as old_value, left(new_value #>> '{}', 80) as new_value
from subscriber_profile_changes
where changed_at = %(taken_at)s
order by id
limit %(most)s
