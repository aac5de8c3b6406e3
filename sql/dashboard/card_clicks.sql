-- A card's clicks by category and target, and of how many contacts they are, of the days from %(from)s to before
-- %(to)s, of one group or contact where %(by_group)s or %(by_contact)s. Days that no run has reached are counted from
-- the raw rows, as analytics_card_totals does it.
with live as (
    select greatest((aggregated_until at time zone 'UTC')::date, %(from)s::date) as first_day
    from analytics_progress where aggregate = 'cards'
), clicked as (
    select click_category, click_target, share_code, contact_id, clicks
    from analytics_daily_click_targets
    where user_code = %(user_code)s and date >= %(from)s::date
        and date < least((select first_day from live), %(to)s::date)
    union all
    select click_category, nullif(click_target, ''), nullif(share_code, ''), nullif(contact_id, ''), 1
    from analytics_clicks
    where user_code = %(user_code)s
        and clicked_at >= (select first_day::timestamp at time zone 'UTC' from live)
        and clicked_at < %(to)s::date::timestamp at time zone 'UTC'
)
select
    click_category, click_target, sum(clicks)::bigint as clicks, count(distinct contact_id) as unique_contacts
from clicked
where (not %(by_group)s or share_code is not distinct from %(share_code)s)
    and (not %(by_contact)s or contact_id is not distinct from %(contact_id)s)
group by click_category, click_target
order by clicks desc, click_category, click_target;
