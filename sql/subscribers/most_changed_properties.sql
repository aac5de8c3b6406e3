-- Properties that the newest snapshot found changed, by how many people. Parameter: `most` of them.
select property, count(*) as people
from subscriber_profile_changes
where changed_at = (select taken_at from profile_snapshots order by id desc limit 1) and change = 'changed'
group by property
order by people desc, property
limit %(most)s
