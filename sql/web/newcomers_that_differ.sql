-- Project-days and card-days, of the UTC days from %(from)s to before %(to)s and of %(owners)s, whose newcomers are not
-- those that the members of scope %(scope)s give, leaving out those with an open mark: how many arrays, and one of them.
-- Computed otherwise than aggregation does: not by a look at the 90 days before each day, but by walking each member's
-- days in order. Members have been compared with the raw rows before (members_that_differ.sql).
with seen as materialized (
    select owner, member, day, first_facets, second_facets
    from analytics_daily_members as members
    where scope = %(scope)s::analytics_scope and owner = any (%(owners)s::text[])
        and day >= greatest(%(from)s::date, (select (raw_floor at time zone 'UTC')::date from analytics_retention)) - 90
        and day < %(to)s::date
        and exists (
            select from analytics_daily_members as present
            where present.scope = %(scope)s::analytics_scope
                and (present.owner, present.member) = (members.owner, members.member)
                and present.day >= %(from)s::date and present.day < %(to)s::date
        )
), appearance as (
    select 'all' as level, owner, member, day, '' as first_facet, '' as second_facet from seen
    union all
    select 'first', owner, member, day, first_facet, ''
    from seen cross join lateral (select distinct first_facet from unnest(first_facets) as first_facet) as facet
    union all
    select 'second', owner, member, day, '', second_facet
    from seen cross join lateral (select distinct second_facet from unnest(second_facets) as second_facet) as facet
    where %(scope)s = 'card sessions'
    union all
    select 'both', owner, member, day, facet.first_facet, facet.second_facet
    from seen cross join lateral unnest(first_facets, second_facets) as facet (first_facet, second_facet)
), walked as (
    select level, owner, first_facet, second_facet, day, day - lag(day) over one as away
    from appearance
    -- The member first: it tells most rows apart, and the sort looks at little else.
    window one as (partition by member, owner, first_facet, second_facet, level order by day)
), counted as (
    select level, owner, first_facet, second_facet, day, least(coalesce(away, 91), 91) as away, count(*) as members
    from walked
    where day >= %(from)s::date and day >= (select (raw_floor at time zone 'UTC')::date from analytics_retention)
    group by 1, 2, 3, 4, 5, 6
), stretch as (
    select
        level, owner, first_facet, second_facet, day, away,
        away - lag(away, 1, 0) over longer as times,
        sum(members) over (longer rows between current row and unbounded following) as newcomers
    from counted
    window longer as (partition by level, owner, first_facet, second_facet, day order by away)
), wanted as (
    select
        level, owner, first_facet, second_facet, day,
        '{' || rtrim(string_agg(repeat(newcomers || ',', times), '' order by away) || repeat('0,', 91 - max(away)), ',')
            || '}' as newcomers
    from stretch
    group by 1, 2, 3, 4, 5
), stored as (
    select 'both' as level, project_id as owner, event_type as first_facet, event_label as second_facet, day,
        case when %(scope)s = 'event visitors' then newcomer_visitors else newcomer_sessions end as newcomers
    from analytics_events_daily_agg
    where %(scope)s in ('event visitors', 'event sessions')
    union all
    select case when event_type is null then 'all' else 'first' end, project_id, event_type, null, day,
        case when %(scope)s = 'event visitors' then newcomer_visitors else newcomer_sessions end
    from analytics_events_daily_totals
    where %(scope)s in ('event visitors', 'event sessions')
    union all
    select 'all', user_code, null, null, date, newcomer_sessions
    from analytics_daily_user_stats
    where %(scope)s = 'card sessions'
    union all
    select 'first', user_code, share_code, null, date, newcomer_sessions
    from analytics_daily_group_stats
    where %(scope)s = 'card sessions'
    union all
    select 'second', user_code, null, contact_id, date, newcomer_sessions
    from analytics_daily_contact_stats
    where %(scope)s = 'card sessions'
    union all
    select 'both', user_code, share_code, contact_id, date, newcomer_sessions
    from analytics_daily_group_contact_stats
    where %(scope)s = 'card sessions'
), different as (
    select owner, day, concat_ws(' ', level, nullif(first_facet, ''), nullif(second_facet, '')) as name
    from wanted
    full join (
        select level, owner, coalesce(first_facet, '') as first_facet, coalesce(second_facet, '') as second_facet, day,
            newcomers::text as newcomers
        from stored
        where owner = any (%(owners)s::text[]) and day >= %(from)s::date and day < %(to)s::date
            and day >= (select (raw_floor at time zone 'UTC')::date from analytics_retention)
    ) as kept using (level, owner, first_facet, second_facet, day)
    where wanted.newcomers is distinct from kept.newcomers
)
select 'newcomers' as part, %(scope)s as scope, owner, day, count(*) as differing, min(name) as example
from different
where not exists (
    select from analytics_dirty_days as mark
    where %(scope)s <> 'card sessions' and (mark.project_id, mark.day) = (owner, different.day)
) and not exists (
    select from analytics_dirty_hours as mark
    where %(scope)s <> 'card sessions' and mark.project_id = owner
        and (mark.hour_bucket at time zone 'UTC')::date = different.day
) and not exists (
    select from analytics_dirty_cards as mark
    where %(scope)s = 'card sessions' and (mark.user_code, mark.day) = (owner, different.day)
)
group by owner, day
order by owner, day;
