-- A card's totals of the days from %(from)s to before %(to)s, at most 91, at every level: all, by group, by contact, by
-- both.
select level, share_code, contact_id, page_views, clicks, sessions_started, unique_sessions
from analytics_card_totals(%(user_code)s, %(from)s, %(to)s)
order by unique_sessions desc, page_views desc, share_code, contact_id;
