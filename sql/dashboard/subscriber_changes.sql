-- What snapshots found changed of a person, newest first.
select changed_at, change, property, old_value, new_value
from subscriber_profile_changes
where distinct_id = %(id)s
order by id desc
limit %(most)s
