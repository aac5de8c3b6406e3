-- The most visited cards of a day.
select user_code, page_views, clicks, sessions_started, unique_sessions
from analytics_daily_user_stats
where date = %(bucket)s
order by page_views + clicks desc, user_code
limit 10;
