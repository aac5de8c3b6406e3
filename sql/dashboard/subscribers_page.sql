-- People that a condition finds, in an order, some of them, with what their profiles call them.
with page as (
    select distinct_id, {columns}
    from subscribers_insights_v2
    where {found}
    order by {order}
    limit %(most)s
)
select page.*, profile.properties ->> '$name' as profile_name, profile.properties ->> '$email' as profile_email
from page
left join subscriber_profiles as profile using (distinct_id)
order by {order}
