-- A card's page views by page, of the days from %(from)s to before %(to)s, of one group or contact where %(by_group)s or
-- %(by_contact)s. Days that no run has reached are counted from the raw rows, as analytics_card_totals does it.
with live as (
    select greatest((aggregated_until at time zone 'UTC')::date, %(from)s::date) as first_day
    from analytics_progress where aggregate = 'cards'
), viewed as (
    select page_type, share_code, contact_id, page_views
    from analytics_daily_page_stats
    where user_code = %(user_code)s and date >= %(from)s::date
        and date < least((select first_day from live), %(to)s::date)
    union all
    select page_type, nullif(share_code, ''), nullif(contact_id, ''), 1
    from analytics_page_views
    where user_code = %(user_code)s
        and viewed_at >= (select first_day::timestamp at time zone 'UTC' from live)
        and viewed_at < %(to)s::date::timestamp at time zone 'UTC'
)
select page_type, sum(page_views)::bigint as page_views
from viewed
where (not %(by_group)s or share_code is not distinct from %(share_code)s)
    and (not %(by_contact)s or contact_id is not distinct from %(contact_id)s)
group by page_type
order by page_views desc, page_type;
