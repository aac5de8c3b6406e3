-- Whether the reader sees this card: it is theirs, or has traffic that they see; and since which day it has aggregates.
select
    exists (select from analytics_my_cards() as mine where mine = %(user_code)s)
    or exists (select from analytics_daily_user_stats where user_code = %(user_code)s)
    or exists (select from analytics_sessions where user_code = %(user_code)s)
    or exists (select from analytics_page_views where user_code = %(user_code)s)
    or exists (select from analytics_clicks where user_code = %(user_code)s) as seen,
    (select min(date) from analytics_daily_user_stats where user_code = %(user_code)s) as first_day;
