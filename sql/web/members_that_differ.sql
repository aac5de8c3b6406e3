-- Project-days and card-days of the UTC day %(day)s whose members are not those of the raw rows, leaving out those with
-- an open mark: how many members, and one of them. Plus one for each pair that raw rows have, minus one for each that is
-- stored: what does not come to nothing differs.
with raw as (
    select distinct seen.scope, project_id as owner, seen.member, event_type as first_facet,
        coalesce(event_label, '') as second_facet
    from analytics_events
    cross join lateral (
        values ('event visitors'::analytics_scope, visitor_id), ('event sessions', session_id)
    ) as seen (scope, member)
    where created_at >= %(day)s::date::timestamp at time zone 'UTC'
        and created_at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
    union all
    select *
    from (
        select 'card sessions'::analytics_scope, user_code, session_id, coalesce(share_code, ''), coalesce(contact_id, '')
        from analytics_page_views
        where viewed_at >= %(day)s::date::timestamp at time zone 'UTC'
            and viewed_at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
        union
        select 'card sessions', user_code, session_id, coalesce(share_code, ''), coalesce(contact_id, '')
        from analytics_clicks
        where clicked_at >= %(day)s::date::timestamp at time zone 'UTC'
            and clicked_at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
        union
        select 'card sessions', user_code, session_id, coalesce(share_code, ''), coalesce(contact_id, '')
        from analytics_sessions
        where first_seen >= %(day)s::date::timestamp at time zone 'UTC'
            and first_seen < (%(day)s::date + 1)::timestamp at time zone 'UTC'
    ) as card
), different as (
    select scope, owner, member
    from (
        select *, 1 as side from raw
        union all
        select scope, owner, member, facet.first_facet, facet.second_facet, -1
        from analytics_daily_members
        cross join lateral unnest(first_facets, second_facets) as facet (first_facet, second_facet)
        where scope in ('event visitors', 'event sessions', 'card sessions') and day = %(day)s::date
    ) as pair
    group by scope, owner, member, first_facet, second_facet
    having sum(side) <> 0
)
select 'members' as part, scope::text, owner, %(day)s::date as day, count(distinct member) as differing, min(member) as example
from different
where not exists (
    select from analytics_dirty_days as mark
    where scope <> 'card sessions' and (mark.project_id, mark.day) = (owner, %(day)s::date)
) and not exists (
    select from analytics_dirty_hours as mark
    where scope <> 'card sessions' and mark.project_id = owner
        and (mark.hour_bucket at time zone 'UTC')::date = %(day)s::date
) and not exists (
    select from analytics_dirty_cards as mark
    where scope = 'card sessions' and (mark.user_code, mark.day) = (owner, %(day)s::date)
)
group by scope, owner
order by scope, owner;
