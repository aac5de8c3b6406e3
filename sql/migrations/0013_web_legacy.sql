-- The legacy form of card events: rows of analytics_events whose event_data names a userCode. `problem` says why a row
-- has no place in the normalized tables.

-- PostgreSQL 15 has no way to ask whether a text is an address.
create function analytics_ip_address(p_text text)
returns inet
language plpgsql
immutable
as $$
begin
    return p_text::inet;
exception when invalid_text_representation then
    return null;
end
$$;

create view analytics_legacy_actions with (security_invoker = true) as
select
    id, created_at, session_id, action, user_code, share_code, contact_id,
    page_type, click_target, click_category, ip_address, user_agent, referrer,
    case
        when not_text is not null then not_text || ' is neither text nor a number'
        when btrim(user_code) = '' then 'userCode is blank'
        when octet_length(user_code) > 200 then 'userCode is longer than 200 bytes'
        when octet_length(share_code) > 200 then 'shareCode is longer than 200 bytes'
        when octet_length(contact_id) > 200 then 'contactId is longer than 200 bytes'
        when octet_length(click_target) > 500 then 'clickTarget is longer than 500 bytes'
        when action = 'page view' and (page_type is null or page_type not in ('home', 'contact', 'profile', 'portfolio'))
            then 'pageType is none of home, contact, profile, portfolio'
    end as problem
from (
    select
        id, created_at, session_id,
        case event_type when 'page_view' then 'page view' when 'click' then 'click' else 'session' end as action,
        event_data ->> 'userCode' as user_code,
        nullif(event_data ->> 'shareCode', '') as share_code,
        nullif(event_data ->> 'contactId', '') as contact_id,
        event_data ->> 'pageType' as page_type,
        nullif(event_data ->> 'clickTarget', '') as click_target,
        case
            when event_data ->> 'clickCategory' in ('contact', 'messaging', 'social', 'portfolio', 'aiAgent')
            then event_data ->> 'clickCategory' else 'other'
        end as click_category,
        event_data ->> 'ipAddress' as ip_address,
        left(event_data ->> 'userAgent', 500) as user_agent,
        left(event_data ->> 'referrer', 1000) as referrer,
        (
            select min(name) from unnest(array['userCode', 'shareCode', 'contactId', 'clickTarget']) as name
            where jsonb_typeof(event_data -> name) in ('object', 'array', 'boolean')
        ) as not_text
    from analytics_events
    where event_type in ('page_view', 'click', 'session') and event_data ->> 'userCode' <> ''
) as legacy;

select close_analytics(
    array['analytics_legacy_actions']::regclass[], array['analytics_ip_address(text)']::regprocedure[]
);
comment on view analytics_legacy_actions is 'Card events in their legacy form, inside event_data, as the normalized tables want them.';
