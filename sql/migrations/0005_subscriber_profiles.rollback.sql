-- Totals go back to what events alone say: values that a profile gave are taken out, and people who have nothing but a
-- profile are gone. A value is a profile's when it is as new as the profile; any other one stays, and so does a person
-- with events that no contributions account for: callers of the SQL API wrote them.
update subscribers_insights_v2 as totals
set
    income = case when totals.income_at = again.changed_at then again.income else totals.income end,
    income_at = case when totals.income_at = again.changed_at then again.income_at else totals.income_at end,
    net_worth = case when totals.net_worth_at = again.changed_at then again.net_worth else totals.net_worth end,
    net_worth_at = case when totals.net_worth_at = again.changed_at then again.net_worth_at else totals.net_worth_at end,
    investing_activity = case when totals.investing_activity_at = again.changed_at then again.investing_activity else totals.investing_activity end,
    investing_activity_at = case when totals.investing_activity_at = again.changed_at then again.investing_activity_at else totals.investing_activity_at end,
    investing_experience_years = case when totals.investing_experience_years_at = again.changed_at then again.investing_experience_years else totals.investing_experience_years end,
    investing_experience_years_at = case when totals.investing_experience_years_at = again.changed_at then again.investing_experience_years_at else totals.investing_experience_years_at end,
    investing_objective = case when totals.investing_objective_at = again.changed_at then again.investing_objective else totals.investing_objective end,
    investing_objective_at = case when totals.investing_objective_at = again.changed_at then again.investing_objective_at else totals.investing_objective_at end,
    investment_type = case when totals.investment_type_at = again.changed_at then again.investment_type else totals.investment_type end,
    investment_type_at = case when totals.investment_type_at = again.changed_at then again.investment_type_at else totals.investment_type_at end,
    acquisition_survey = case when totals.acquisition_survey_at = again.changed_at then again.acquisition_survey else totals.acquisition_survey end,
    acquisition_survey_at = case when totals.acquisition_survey_at = again.changed_at then again.acquisition_survey_at else totals.acquisition_survey_at end,
    available_copy_credits = case when totals.available_copy_credits_at = again.changed_at then again.available_copy_credits else totals.available_copy_credits end,
    available_copy_credits_at = case when totals.available_copy_credits_at = again.changed_at then again.available_copy_credits_at else totals.available_copy_credits_at end,
    buying_power = case when totals.buying_power_at = again.changed_at then again.buying_power else totals.buying_power end,
    buying_power_at = case when totals.buying_power_at = again.changed_at then again.buying_power_at else totals.buying_power_at end,
    total_deposits = case when totals.total_deposits_at = again.changed_at then again.total_deposits else totals.total_deposits end,
    total_deposits_at = case when totals.total_deposits_at = again.changed_at then again.total_deposits_at else totals.total_deposits_at end,
    total_deposit_count = case when totals.total_deposit_count_at = again.changed_at then again.total_deposit_count else totals.total_deposit_count end,
    total_deposit_count_at = case when totals.total_deposit_count_at = again.changed_at then again.total_deposit_count_at else totals.total_deposit_count_at end,
    total_withdrawals = case when totals.total_withdrawals_at = again.changed_at then again.total_withdrawals else totals.total_withdrawals end,
    total_withdrawals_at = case when totals.total_withdrawals_at = again.changed_at then again.total_withdrawals_at else totals.total_withdrawals_at end,
    total_withdrawal_count = case when totals.total_withdrawal_count_at = again.changed_at then again.total_withdrawal_count else totals.total_withdrawal_count end,
    total_withdrawal_count_at = case when totals.total_withdrawal_count_at = again.changed_at then again.total_withdrawal_count_at else totals.total_withdrawal_count_at end,
    active_created_portfolios = case when totals.active_created_portfolios_at = again.changed_at then again.active_created_portfolios else totals.active_created_portfolios end,
    active_created_portfolios_at = case when totals.active_created_portfolios_at = again.changed_at then again.active_created_portfolios_at else totals.active_created_portfolios_at end,
    lifetime_created_portfolios = case when totals.lifetime_created_portfolios_at = again.changed_at then again.lifetime_created_portfolios else totals.lifetime_created_portfolios end,
    lifetime_created_portfolios_at = case when totals.lifetime_created_portfolios_at = again.changed_at then again.lifetime_created_portfolios_at else totals.lifetime_created_portfolios_at end,
    updated_at = clock_timestamp()
from (
    select
        profile.distinct_id,
        profile.changed_at,
        (array_agg(stored.income order by stored.income_at desc, stored.export_day desc) filter (where stored.income_at is not null))[1] as income,
        max(stored.income_at) as income_at,
        (array_agg(stored.net_worth order by stored.net_worth_at desc, stored.export_day desc) filter (where stored.net_worth_at is not null))[1] as net_worth,
        max(stored.net_worth_at) as net_worth_at,
        (array_agg(stored.investing_activity order by stored.investing_activity_at desc, stored.export_day desc) filter (where stored.investing_activity_at is not null))[1] as investing_activity,
        max(stored.investing_activity_at) as investing_activity_at,
        (array_agg(stored.investing_experience_years order by stored.investing_experience_years_at desc, stored.export_day desc) filter (where stored.investing_experience_years_at is not null))[1] as investing_experience_years,
        max(stored.investing_experience_years_at) as investing_experience_years_at,
        (array_agg(stored.investing_objective order by stored.investing_objective_at desc, stored.export_day desc) filter (where stored.investing_objective_at is not null))[1] as investing_objective,
        max(stored.investing_objective_at) as investing_objective_at,
        (array_agg(stored.investment_type order by stored.investment_type_at desc, stored.export_day desc) filter (where stored.investment_type_at is not null))[1] as investment_type,
        max(stored.investment_type_at) as investment_type_at,
        (array_agg(stored.acquisition_survey order by stored.acquisition_survey_at desc, stored.export_day desc) filter (where stored.acquisition_survey_at is not null))[1] as acquisition_survey,
        max(stored.acquisition_survey_at) as acquisition_survey_at,
        (array_agg(stored.available_copy_credits order by stored.available_copy_credits_at desc, stored.export_day desc) filter (where stored.available_copy_credits_at is not null))[1] as available_copy_credits,
        max(stored.available_copy_credits_at) as available_copy_credits_at,
        (array_agg(stored.buying_power order by stored.buying_power_at desc, stored.export_day desc) filter (where stored.buying_power_at is not null))[1] as buying_power,
        max(stored.buying_power_at) as buying_power_at,
        (array_agg(stored.total_deposits order by stored.total_deposits_at desc, stored.export_day desc) filter (where stored.total_deposits_at is not null))[1] as total_deposits,
        max(stored.total_deposits_at) as total_deposits_at,
        (array_agg(stored.total_deposit_count order by stored.total_deposit_count_at desc, stored.export_day desc) filter (where stored.total_deposit_count_at is not null))[1] as total_deposit_count,
        max(stored.total_deposit_count_at) as total_deposit_count_at,
        (array_agg(stored.total_withdrawals order by stored.total_withdrawals_at desc, stored.export_day desc) filter (where stored.total_withdrawals_at is not null))[1] as total_withdrawals,
        max(stored.total_withdrawals_at) as total_withdrawals_at,
        (array_agg(stored.total_withdrawal_count order by stored.total_withdrawal_count_at desc, stored.export_day desc) filter (where stored.total_withdrawal_count_at is not null))[1] as total_withdrawal_count,
        max(stored.total_withdrawal_count_at) as total_withdrawal_count_at,
        (array_agg(stored.active_created_portfolios order by stored.active_created_portfolios_at desc, stored.export_day desc) filter (where stored.active_created_portfolios_at is not null))[1] as active_created_portfolios,
        max(stored.active_created_portfolios_at) as active_created_portfolios_at,
        (array_agg(stored.lifetime_created_portfolios order by stored.lifetime_created_portfolios_at desc, stored.export_day desc) filter (where stored.lifetime_created_portfolios_at is not null))[1] as lifetime_created_portfolios,
        max(stored.lifetime_created_portfolios_at) as lifetime_created_portfolios_at
    from subscriber_profiles as profile
    left join subscriber_daily_contributions as stored on stored.distinct_id = profile.distinct_id
    where profile.deleted_at is null
    group by profile.distinct_id
) as again
where totals.distinct_id = again.distinct_id and again.changed_at in (
    totals.income_at, totals.net_worth_at, totals.investing_activity_at,
    totals.investing_experience_years_at, totals.investing_objective_at, totals.investment_type_at,
    totals.acquisition_survey_at, totals.available_copy_credits_at, totals.buying_power_at,
    totals.total_deposits_at, totals.total_deposit_count_at, totals.total_withdrawals_at,
    totals.total_withdrawal_count_at, totals.active_created_portfolios_at, totals.lifetime_created_portfolios_at
);

delete from subscribers_insights_v2 as totals
where totals.events_processed = 0
    and exists (select from subscriber_profiles as profile where profile.distinct_id = totals.distinct_id)
    and not exists (
        select from subscriber_daily_contributions as stored where stored.distinct_id = totals.distinct_id
    );

drop table profile_snapshots;
drop table subscriber_profile_changes;
drop table subscriber_profiles;
delete from sync_logs where source = 'mixpanel_user_profiles';

-- The SQL API as sql/subscribers/sql_api.sql had it at this migration.
-- The SQL API: what other programs call to upsert profiles and watermarks (docs/sql-api.md).
-- `python -m mixpanel_pipeline.catalog_sql NNNN_what` copies this file to the end of a migration; a test holds the
-- newest copy equal to it (docs/adding-a-metric.md).
-- It may be run again and again: it takes its functions away first, because their columns follow from the catalog.

drop function if exists upsert_subscribers_incremental(jsonb);
drop function if exists upsert_subscribers_incremental_add(jsonb);
drop function if exists upsert_subscribers_incremental_loop(jsonb);
drop function if exists upsert_subscribers_incremental_add_loop(jsonb);
drop function if exists upsert_sync_watermark(text, timestamptz, bigint, text);
drop function if exists read_subscriber_profiles(jsonb);
drop function if exists unknown_profile_keys(jsonb);
drop function if exists profile_count(bigint, text, text);
drop function if exists profile_number(bigint, text, text);
drop function if exists profile_time(bigint, text, text);
drop function if exists refuse_profile(bigint, text, text, text);

-- Ends the call: nothing of it stays. Its result's type is never seen; it lets a CASE end in a refusal.
create function refuse_profile(p_place bigint, p_field text, p_value text, p_expected text)
returns text
language plpgsql
as $$
begin
    raise exception using
        errcode = 'invalid_parameter_value',
        message = 'profiles[' || p_place || ']' || coalesce('.' || p_field, '') || ': expected ' || p_expected || ', got '
            || case
                when p_value is null then 'nothing'
                when length(p_value) > 80 then left(p_value, 80) || '… (' || length(p_value) || ' characters)'
                else p_value
            end,
        hint = 'Elements are counted from 0. The whole call was refused; nothing of it is stored.';
end
$$;

-- The spellings of a count that are rarer than plain digits: 5.0, +5, " 5 ".
create function profile_count(p_place bigint, p_field text, p_value text)
returns bigint
language plpgsql
as $$
begin
    if length(p_value) <= 60 and p_value ~ '^\s*[+-]?\d+(\.0*)?\s*$' and p_value::numeric between 0 and 9007199254740991 then
        return p_value::numeric::bigint;
    end if;
    return refuse_profile(p_place, p_field, p_value, 'a whole number from 0 to 9007199254740991');
end
$$;

-- The same numbers that the pipeline takes from events; anything longer or not finite is no amount of anything.
create function profile_number(p_place bigint, p_field text, p_value text)
returns numeric
language plpgsql
as $$
begin
    if length(p_value) <= 60 and p_value ~ '^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*$'
        and abs(p_value::numeric) <= 1.7976931348623157e308 then
        return p_value::numeric;
    end if;
    return refuse_profile(p_place, p_field, p_value, 'a number of at most 60 characters');
end
$$;

-- Only what looks like a date and time is handed to Postgres, which would take 'now' and 'infinity' too.
create function profile_time(p_place bigint, p_field text, p_value text)
returns timestamptz
language plpgsql
as $$
begin
    if p_value ~ '^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)? ?(Z|[+-]\d\d(:?\d\d)?)?)?$' then
        begin
            return p_value::timestamptz;
        exception when data_exception then
            null;
        end;
    end if;
    return refuse_profile(p_place, p_field, p_value, 'a time such as 2025-11-13T01:00:00Z');
end
$$;

-- Keys that are no column a caller may set. They are ignored, and told in the answer.
create function unknown_profile_keys(profiles jsonb)
returns text[]
language sql
as $$
    select coalesce(array_agg(distinct key order by key), '{}')
    from jsonb_array_elements(profiles) as element (profile)
    cross join lateral (
        select profile - array['distinct_id', 'total_copies', 'total_pdp_views', 'total_creator_profile_views', 'total_ach_transfers', 'paywall_views', 'total_subscriptions', 'app_sessions', 'discover_tab_views', 'stripe_modal_views', 'creator_card_taps', 'portfolio_card_taps', 'events_processed', 'linked_bank_account', 'income', 'net_worth', 'investing_activity', 'investing_experience_years', 'investing_objective', 'investment_type', 'acquisition_survey', 'available_copy_credits', 'buying_power', 'total_deposits', 'total_deposit_count', 'total_withdrawals', 'total_withdrawal_count', 'active_created_portfolios', 'lifetime_created_portfolios', 'first_event_time', 'last_event_time', 'updated_at'] as rest
    ) as unknown
    cross join lateral jsonb_object_keys(rest) as keys (key)
$$;

-- The payload as typed rows, or an error that names the element and the field. `place` counts from 0.
-- A key that is missing, null or an empty string says nothing: its column is null here, and stays as it is later.
-- `observed_at` is as of when the element speaks: its last event, else when it was made, else now.
create function read_subscriber_profiles(profiles jsonb)
returns table (
    place bigint, distinct_id text, total_copies bigint, total_pdp_views bigint, total_creator_profile_views bigint, total_ach_transfers bigint, paywall_views bigint, total_subscriptions bigint, app_sessions bigint, discover_tab_views bigint, stripe_modal_views bigint, creator_card_taps bigint, portfolio_card_taps bigint, events_processed bigint, linked_bank_account boolean,
    income text, net_worth text, investing_activity text, investing_experience_years text, investing_objective text, investment_type text, acquisition_survey text, available_copy_credits numeric, buying_power numeric, total_deposits numeric, total_deposit_count numeric, total_withdrawals numeric, total_withdrawal_count numeric, active_created_portfolios numeric, lifetime_created_portfolios numeric, first_event_time timestamptz, last_event_time timestamptz, observed_at timestamptz
)
language plpgsql
as $$
#variable_conflict use_column
declare
    most_profiles constant integer := 50000;
    most_bytes constant integer := 64 * 1024 * 1024;
    stray record;
begin
    if profiles is null or jsonb_typeof(profiles) <> 'array' then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'profiles: expected an array of objects, got ' || coalesce(jsonb_typeof(profiles), 'nothing');
    end if;
    if jsonb_array_length(profiles) > most_profiles or pg_column_size(profiles) > most_bytes then
        raise exception using
            errcode = 'program_limit_exceeded',
            message = format('profiles: expected at most %s elements and %s MB, got %s elements and %s MB',
                most_profiles, most_bytes / 1048576, jsonb_array_length(profiles), pg_column_size(profiles) / 1048576),
            hint = 'Send it in several calls.';
    end if;
    select number - 1 as place, value into stray
    from jsonb_array_elements(profiles) with ordinality as element (value, number)
    where jsonb_typeof(value) <> 'object'
    order by number
    limit 1;
    if found then
        perform refuse_profile(stray.place, null, stray.value::text, 'an object');
    end if;

    -- The usual spelling of a value is cast here; calling a function for each of 35 values a row would cost more than
    -- all the rest. What looks unusual goes to the functions above.
    return query
    select place, distinct_id, total_copies, total_pdp_views, total_creator_profile_views, total_ach_transfers, paywall_views, total_subscriptions, app_sessions, discover_tab_views, stripe_modal_views, creator_card_taps, portfolio_card_taps, events_processed, linked_bank_account, income, net_worth, investing_activity, investing_experience_years, investing_objective, investment_type, acquisition_survey, available_copy_credits, buying_power, total_deposits, total_deposit_count, total_withdrawals, total_withdrawal_count, active_created_portfolios, lifetime_created_portfolios, first_event_time, last_event_time, coalesce(last_event_time, made_at, now())
    from (
        select
            place,
            case
                when jsonb_typeof(distinct_id) in ('string', 'number') and octet_length(distinct_id #>> '{}') between 1 and 2000
                    then distinct_id #>> '{}'
                else refuse_profile(place, 'distinct_id', distinct_id::text, 'text of 1 to 2000 bytes')
            end as distinct_id,
            case when total_copies is null or total_copies = '' then null when total_copies ~ '^\d{1,15}$' then total_copies::bigint else profile_count(place, 'total_copies', total_copies) end as total_copies,
            case when total_pdp_views is null or total_pdp_views = '' then null when total_pdp_views ~ '^\d{1,15}$' then total_pdp_views::bigint else profile_count(place, 'total_pdp_views', total_pdp_views) end as total_pdp_views,
            case when total_creator_profile_views is null or total_creator_profile_views = '' then null when total_creator_profile_views ~ '^\d{1,15}$' then total_creator_profile_views::bigint else profile_count(place, 'total_creator_profile_views', total_creator_profile_views) end as total_creator_profile_views,
            case when total_ach_transfers is null or total_ach_transfers = '' then null when total_ach_transfers ~ '^\d{1,15}$' then total_ach_transfers::bigint else profile_count(place, 'total_ach_transfers', total_ach_transfers) end as total_ach_transfers,
            case when paywall_views is null or paywall_views = '' then null when paywall_views ~ '^\d{1,15}$' then paywall_views::bigint else profile_count(place, 'paywall_views', paywall_views) end as paywall_views,
            case when total_subscriptions is null or total_subscriptions = '' then null when total_subscriptions ~ '^\d{1,15}$' then total_subscriptions::bigint else profile_count(place, 'total_subscriptions', total_subscriptions) end as total_subscriptions,
            case when app_sessions is null or app_sessions = '' then null when app_sessions ~ '^\d{1,15}$' then app_sessions::bigint else profile_count(place, 'app_sessions', app_sessions) end as app_sessions,
            case when discover_tab_views is null or discover_tab_views = '' then null when discover_tab_views ~ '^\d{1,15}$' then discover_tab_views::bigint else profile_count(place, 'discover_tab_views', discover_tab_views) end as discover_tab_views,
            case when stripe_modal_views is null or stripe_modal_views = '' then null when stripe_modal_views ~ '^\d{1,15}$' then stripe_modal_views::bigint else profile_count(place, 'stripe_modal_views', stripe_modal_views) end as stripe_modal_views,
            case when creator_card_taps is null or creator_card_taps = '' then null when creator_card_taps ~ '^\d{1,15}$' then creator_card_taps::bigint else profile_count(place, 'creator_card_taps', creator_card_taps) end as creator_card_taps,
            case when portfolio_card_taps is null or portfolio_card_taps = '' then null when portfolio_card_taps ~ '^\d{1,15}$' then portfolio_card_taps::bigint else profile_count(place, 'portfolio_card_taps', portfolio_card_taps) end as portfolio_card_taps,
            case when events_processed is null or events_processed = '' then null when events_processed ~ '^\d{1,15}$' then events_processed::bigint else profile_count(place, 'events_processed', events_processed) end as events_processed,
            case when linked_bank_account is null or linked_bank_account = '' then null when linked_bank_account in ('true', 'false') then linked_bank_account::boolean else refuse_profile(place, 'linked_bank_account', linked_bank_account, 'true or false')::boolean end as linked_bank_account,
            case when income is null then null when jsonb_typeof(income) in ('string', 'number', 'boolean') then nullif(income #>> '{}', '') else refuse_profile(place, 'income', income::text, 'text') end as income,
            case when net_worth is null then null when jsonb_typeof(net_worth) in ('string', 'number', 'boolean') then nullif(net_worth #>> '{}', '') else refuse_profile(place, 'net_worth', net_worth::text, 'text') end as net_worth,
            case when investing_activity is null then null when jsonb_typeof(investing_activity) in ('string', 'number', 'boolean') then nullif(investing_activity #>> '{}', '') else refuse_profile(place, 'investing_activity', investing_activity::text, 'text') end as investing_activity,
            case when investing_experience_years is null then null when jsonb_typeof(investing_experience_years) in ('string', 'number', 'boolean') then nullif(investing_experience_years #>> '{}', '') else refuse_profile(place, 'investing_experience_years', investing_experience_years::text, 'text') end as investing_experience_years,
            case when investing_objective is null then null when jsonb_typeof(investing_objective) in ('string', 'number', 'boolean') then nullif(investing_objective #>> '{}', '') else refuse_profile(place, 'investing_objective', investing_objective::text, 'text') end as investing_objective,
            case when investment_type is null then null when jsonb_typeof(investment_type) in ('string', 'number', 'boolean') then nullif(investment_type #>> '{}', '') else refuse_profile(place, 'investment_type', investment_type::text, 'text') end as investment_type,
            case when acquisition_survey is null then null when jsonb_typeof(acquisition_survey) in ('string', 'number', 'boolean') then nullif(acquisition_survey #>> '{}', '') else refuse_profile(place, 'acquisition_survey', acquisition_survey::text, 'text') end as acquisition_survey,
            case when available_copy_credits is null or available_copy_credits = '' then null when available_copy_credits ~ '^-?\d{1,15}(\.\d{1,15})?$' then available_copy_credits::numeric else profile_number(place, 'available_copy_credits', available_copy_credits) end as available_copy_credits,
            case when buying_power is null or buying_power = '' then null when buying_power ~ '^-?\d{1,15}(\.\d{1,15})?$' then buying_power::numeric else profile_number(place, 'buying_power', buying_power) end as buying_power,
            case when total_deposits is null or total_deposits = '' then null when total_deposits ~ '^-?\d{1,15}(\.\d{1,15})?$' then total_deposits::numeric else profile_number(place, 'total_deposits', total_deposits) end as total_deposits,
            case when total_deposit_count is null or total_deposit_count = '' then null when total_deposit_count ~ '^-?\d{1,15}(\.\d{1,15})?$' then total_deposit_count::numeric else profile_number(place, 'total_deposit_count', total_deposit_count) end as total_deposit_count,
            case when total_withdrawals is null or total_withdrawals = '' then null when total_withdrawals ~ '^-?\d{1,15}(\.\d{1,15})?$' then total_withdrawals::numeric else profile_number(place, 'total_withdrawals', total_withdrawals) end as total_withdrawals,
            case when total_withdrawal_count is null or total_withdrawal_count = '' then null when total_withdrawal_count ~ '^-?\d{1,15}(\.\d{1,15})?$' then total_withdrawal_count::numeric else profile_number(place, 'total_withdrawal_count', total_withdrawal_count) end as total_withdrawal_count,
            case when active_created_portfolios is null or active_created_portfolios = '' then null when active_created_portfolios ~ '^-?\d{1,15}(\.\d{1,15})?$' then active_created_portfolios::numeric else profile_number(place, 'active_created_portfolios', active_created_portfolios) end as active_created_portfolios,
            case when lifetime_created_portfolios is null or lifetime_created_portfolios = '' then null when lifetime_created_portfolios ~ '^-?\d{1,15}(\.\d{1,15})?$' then lifetime_created_portfolios::numeric else profile_number(place, 'lifetime_created_portfolios', lifetime_created_portfolios) end as lifetime_created_portfolios,
            case when first_event_time is null or first_event_time = '' then null when first_event_time ~ '^[12]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+]00:00)$' then first_event_time::timestamptz else profile_time(place, 'first_event_time', first_event_time) end as first_event_time,
            case when last_event_time is null or last_event_time = '' then null when last_event_time ~ '^[12]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+]00:00)$' then last_event_time::timestamptz else profile_time(place, 'last_event_time', last_event_time) end as last_event_time,
            case when updated_at is null or updated_at = '' then null when updated_at ~ '^[12]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+]00:00)$' then updated_at::timestamptz else profile_time(place, 'updated_at', updated_at) end as made_at
        from (
            select given.*, ordinality - 1 as place
            from rows from (jsonb_to_recordset(profiles) as (
                distinct_id jsonb, total_copies text, total_pdp_views text, total_creator_profile_views text, total_ach_transfers text, paywall_views text, total_subscriptions text, app_sessions text, discover_tab_views text, stripe_modal_views text, creator_card_taps text, portfolio_card_taps text, events_processed text, linked_bank_account text, first_event_time text, last_event_time text, updated_at text,
                income jsonb, net_worth jsonb, investing_activity jsonb, investing_experience_years jsonb, investing_objective jsonb, investment_type jsonb, acquisition_survey jsonb, available_copy_credits text, buying_power text, total_deposits text, total_deposit_count text, total_withdrawals text, total_withdrawal_count text, active_created_portfolios text, lifetime_created_portfolios text
            )) with ordinality as given
        ) as raw
    ) as typed;
end
$$;

-- REPLACE: what an element says takes the place of what is stored; what it does not say stays.
-- Elements that name one person are first made one, in the order of `observed_at` and then of their place.
-- A property whose value is the same moves its time only by the time of an event, not by when the element was made:
-- else every repetition would be a change. The totals' lock (subscribers/locks.py) makes what is read here stand
-- still until it is written, so that only rows that change are locked and written at all.
create function upsert_subscribers_incremental(
    profiles jsonb, out inserted bigint, out updated bigint, out unchanged bigint, out ignored_keys text[]
)
language plpgsql
set timezone = 'UTC'
set enable_seqscan = off              -- a plan made while the table was empty is kept while it fills
as $$
#variable_conflict use_column
begin
    perform pg_advisory_xact_lock(7241003, 0);
    with element as materialized (
        select * from read_subscriber_profiles(profiles)
    ),
    repeated as materialized (
        select distinct_id from element group by distinct_id having count(*) > 1
    ),
    person as materialized (
        select
            distinct_id,
            total_copies, total_pdp_views, total_creator_profile_views, total_ach_transfers, paywall_views, total_subscriptions, app_sessions, discover_tab_views, stripe_modal_views, creator_card_taps, portfolio_card_taps, events_processed, linked_bank_account,
            income, observed_at as income_at, net_worth, observed_at as net_worth_at, investing_activity, observed_at as investing_activity_at, investing_experience_years, observed_at as investing_experience_years_at, investing_objective, observed_at as investing_objective_at, investment_type, observed_at as investment_type_at, acquisition_survey, observed_at as acquisition_survey_at, available_copy_credits, observed_at as available_copy_credits_at, buying_power, observed_at as buying_power_at, total_deposits, observed_at as total_deposits_at, total_deposit_count, observed_at as total_deposit_count_at, total_withdrawals, observed_at as total_withdrawals_at, total_withdrawal_count, observed_at as total_withdrawal_count_at, active_created_portfolios, observed_at as active_created_portfolios_at, lifetime_created_portfolios, observed_at as lifetime_created_portfolios_at, 
            first_event_time, last_event_time,
            last_event_time is not null as timed
        from element
        where not exists (select from repeated where repeated.distinct_id = element.distinct_id)
        union all
        select
            distinct_id,
            (array_agg(total_copies order by observed_at desc, place desc) filter (where total_copies is not null))[1],
            (array_agg(total_pdp_views order by observed_at desc, place desc) filter (where total_pdp_views is not null))[1],
            (array_agg(total_creator_profile_views order by observed_at desc, place desc) filter (where total_creator_profile_views is not null))[1],
            (array_agg(total_ach_transfers order by observed_at desc, place desc) filter (where total_ach_transfers is not null))[1],
            (array_agg(paywall_views order by observed_at desc, place desc) filter (where paywall_views is not null))[1],
            (array_agg(total_subscriptions order by observed_at desc, place desc) filter (where total_subscriptions is not null))[1],
            (array_agg(app_sessions order by observed_at desc, place desc) filter (where app_sessions is not null))[1],
            (array_agg(discover_tab_views order by observed_at desc, place desc) filter (where discover_tab_views is not null))[1],
            (array_agg(stripe_modal_views order by observed_at desc, place desc) filter (where stripe_modal_views is not null))[1],
            (array_agg(creator_card_taps order by observed_at desc, place desc) filter (where creator_card_taps is not null))[1],
            (array_agg(portfolio_card_taps order by observed_at desc, place desc) filter (where portfolio_card_taps is not null))[1],
            (array_agg(events_processed order by observed_at desc, place desc) filter (where events_processed is not null))[1],
            (array_agg(linked_bank_account order by observed_at desc, place desc) filter (where linked_bank_account is not null))[1],
            (array_agg(income order by observed_at desc, place desc) filter (where income is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where income is not null))[1],
            (array_agg(net_worth order by observed_at desc, place desc) filter (where net_worth is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where net_worth is not null))[1],
            (array_agg(investing_activity order by observed_at desc, place desc) filter (where investing_activity is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where investing_activity is not null))[1],
            (array_agg(investing_experience_years order by observed_at desc, place desc) filter (where investing_experience_years is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where investing_experience_years is not null))[1],
            (array_agg(investing_objective order by observed_at desc, place desc) filter (where investing_objective is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where investing_objective is not null))[1],
            (array_agg(investment_type order by observed_at desc, place desc) filter (where investment_type is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where investment_type is not null))[1],
            (array_agg(acquisition_survey order by observed_at desc, place desc) filter (where acquisition_survey is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where acquisition_survey is not null))[1],
            (array_agg(available_copy_credits order by observed_at desc, place desc) filter (where available_copy_credits is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where available_copy_credits is not null))[1],
            (array_agg(buying_power order by observed_at desc, place desc) filter (where buying_power is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where buying_power is not null))[1],
            (array_agg(total_deposits order by observed_at desc, place desc) filter (where total_deposits is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where total_deposits is not null))[1],
            (array_agg(total_deposit_count order by observed_at desc, place desc) filter (where total_deposit_count is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where total_deposit_count is not null))[1],
            (array_agg(total_withdrawals order by observed_at desc, place desc) filter (where total_withdrawals is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where total_withdrawals is not null))[1],
            (array_agg(total_withdrawal_count order by observed_at desc, place desc) filter (where total_withdrawal_count is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where total_withdrawal_count is not null))[1],
            (array_agg(active_created_portfolios order by observed_at desc, place desc) filter (where active_created_portfolios is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where active_created_portfolios is not null))[1],
            (array_agg(lifetime_created_portfolios order by observed_at desc, place desc) filter (where lifetime_created_portfolios is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where lifetime_created_portfolios is not null))[1],
            (array_agg(first_event_time order by observed_at desc, place desc) filter (where first_event_time is not null))[1],
            (array_agg(last_event_time order by observed_at desc, place desc) filter (where last_event_time is not null))[1],
            bool_and(last_event_time is not null)
        from element
        where exists (select from repeated where repeated.distinct_id = element.distinct_id)
        group by distinct_id
    ),
    changed as materialized (
        select stored.distinct_id is null as is_new, person.distinct_id, target.*
        from person
        -- By the primary key, person by person: a join would be planned for a thousand people and read the whole table
        -- for one. `limit` keeps the planner from making a join of it.
        left join lateral (
            select * from subscribers_insights_v2 as existing where existing.distinct_id = person.distinct_id limit 1
        ) as stored on true
        cross join lateral (
            select
                coalesce(person.total_copies, stored.total_copies, 0) as total_copies,
                coalesce(person.total_pdp_views, stored.total_pdp_views, 0) as total_pdp_views,
                coalesce(person.total_creator_profile_views, stored.total_creator_profile_views, 0) as total_creator_profile_views,
                coalesce(person.total_ach_transfers, stored.total_ach_transfers, 0) as total_ach_transfers,
                coalesce(person.paywall_views, stored.paywall_views, 0) as paywall_views,
                coalesce(person.total_subscriptions, stored.total_subscriptions, 0) as total_subscriptions,
                coalesce(person.app_sessions, stored.app_sessions, 0) as app_sessions,
                coalesce(person.discover_tab_views, stored.discover_tab_views, 0) as discover_tab_views,
                coalesce(person.stripe_modal_views, stored.stripe_modal_views, 0) as stripe_modal_views,
                coalesce(person.creator_card_taps, stored.creator_card_taps, 0) as creator_card_taps,
                coalesce(person.portfolio_card_taps, stored.portfolio_card_taps, 0) as portfolio_card_taps,
                coalesce(person.events_processed, stored.events_processed, 0) as events_processed,
                coalesce(person.linked_bank_account, stored.linked_bank_account, false) as linked_bank_account,
                case when person.income is null or person.income = stored.income then stored.income else person.income end as income,
                case when person.income is null then stored.income_at when person.income is distinct from stored.income then person.income_at when person.timed then greatest(stored.income_at, person.income_at) else stored.income_at end as income_at,
                case when person.net_worth is null or person.net_worth = stored.net_worth then stored.net_worth else person.net_worth end as net_worth,
                case when person.net_worth is null then stored.net_worth_at when person.net_worth is distinct from stored.net_worth then person.net_worth_at when person.timed then greatest(stored.net_worth_at, person.net_worth_at) else stored.net_worth_at end as net_worth_at,
                case when person.investing_activity is null or person.investing_activity = stored.investing_activity then stored.investing_activity else person.investing_activity end as investing_activity,
                case when person.investing_activity is null then stored.investing_activity_at when person.investing_activity is distinct from stored.investing_activity then person.investing_activity_at when person.timed then greatest(stored.investing_activity_at, person.investing_activity_at) else stored.investing_activity_at end as investing_activity_at,
                case when person.investing_experience_years is null or person.investing_experience_years = stored.investing_experience_years then stored.investing_experience_years else person.investing_experience_years end as investing_experience_years,
                case when person.investing_experience_years is null then stored.investing_experience_years_at when person.investing_experience_years is distinct from stored.investing_experience_years then person.investing_experience_years_at when person.timed then greatest(stored.investing_experience_years_at, person.investing_experience_years_at) else stored.investing_experience_years_at end as investing_experience_years_at,
                case when person.investing_objective is null or person.investing_objective = stored.investing_objective then stored.investing_objective else person.investing_objective end as investing_objective,
                case when person.investing_objective is null then stored.investing_objective_at when person.investing_objective is distinct from stored.investing_objective then person.investing_objective_at when person.timed then greatest(stored.investing_objective_at, person.investing_objective_at) else stored.investing_objective_at end as investing_objective_at,
                case when person.investment_type is null or person.investment_type = stored.investment_type then stored.investment_type else person.investment_type end as investment_type,
                case when person.investment_type is null then stored.investment_type_at when person.investment_type is distinct from stored.investment_type then person.investment_type_at when person.timed then greatest(stored.investment_type_at, person.investment_type_at) else stored.investment_type_at end as investment_type_at,
                case when person.acquisition_survey is null or person.acquisition_survey = stored.acquisition_survey then stored.acquisition_survey else person.acquisition_survey end as acquisition_survey,
                case when person.acquisition_survey is null then stored.acquisition_survey_at when person.acquisition_survey is distinct from stored.acquisition_survey then person.acquisition_survey_at when person.timed then greatest(stored.acquisition_survey_at, person.acquisition_survey_at) else stored.acquisition_survey_at end as acquisition_survey_at,
                case when person.available_copy_credits is null or person.available_copy_credits = stored.available_copy_credits then stored.available_copy_credits else person.available_copy_credits end as available_copy_credits,
                case when person.available_copy_credits is null then stored.available_copy_credits_at when person.available_copy_credits is distinct from stored.available_copy_credits then person.available_copy_credits_at when person.timed then greatest(stored.available_copy_credits_at, person.available_copy_credits_at) else stored.available_copy_credits_at end as available_copy_credits_at,
                case when person.buying_power is null or person.buying_power = stored.buying_power then stored.buying_power else person.buying_power end as buying_power,
                case when person.buying_power is null then stored.buying_power_at when person.buying_power is distinct from stored.buying_power then person.buying_power_at when person.timed then greatest(stored.buying_power_at, person.buying_power_at) else stored.buying_power_at end as buying_power_at,
                case when person.total_deposits is null or person.total_deposits = stored.total_deposits then stored.total_deposits else person.total_deposits end as total_deposits,
                case when person.total_deposits is null then stored.total_deposits_at when person.total_deposits is distinct from stored.total_deposits then person.total_deposits_at when person.timed then greatest(stored.total_deposits_at, person.total_deposits_at) else stored.total_deposits_at end as total_deposits_at,
                case when person.total_deposit_count is null or person.total_deposit_count = stored.total_deposit_count then stored.total_deposit_count else person.total_deposit_count end as total_deposit_count,
                case when person.total_deposit_count is null then stored.total_deposit_count_at when person.total_deposit_count is distinct from stored.total_deposit_count then person.total_deposit_count_at when person.timed then greatest(stored.total_deposit_count_at, person.total_deposit_count_at) else stored.total_deposit_count_at end as total_deposit_count_at,
                case when person.total_withdrawals is null or person.total_withdrawals = stored.total_withdrawals then stored.total_withdrawals else person.total_withdrawals end as total_withdrawals,
                case when person.total_withdrawals is null then stored.total_withdrawals_at when person.total_withdrawals is distinct from stored.total_withdrawals then person.total_withdrawals_at when person.timed then greatest(stored.total_withdrawals_at, person.total_withdrawals_at) else stored.total_withdrawals_at end as total_withdrawals_at,
                case when person.total_withdrawal_count is null or person.total_withdrawal_count = stored.total_withdrawal_count then stored.total_withdrawal_count else person.total_withdrawal_count end as total_withdrawal_count,
                case when person.total_withdrawal_count is null then stored.total_withdrawal_count_at when person.total_withdrawal_count is distinct from stored.total_withdrawal_count then person.total_withdrawal_count_at when person.timed then greatest(stored.total_withdrawal_count_at, person.total_withdrawal_count_at) else stored.total_withdrawal_count_at end as total_withdrawal_count_at,
                case when person.active_created_portfolios is null or person.active_created_portfolios = stored.active_created_portfolios then stored.active_created_portfolios else person.active_created_portfolios end as active_created_portfolios,
                case when person.active_created_portfolios is null then stored.active_created_portfolios_at when person.active_created_portfolios is distinct from stored.active_created_portfolios then person.active_created_portfolios_at when person.timed then greatest(stored.active_created_portfolios_at, person.active_created_portfolios_at) else stored.active_created_portfolios_at end as active_created_portfolios_at,
                case when person.lifetime_created_portfolios is null or person.lifetime_created_portfolios = stored.lifetime_created_portfolios then stored.lifetime_created_portfolios else person.lifetime_created_portfolios end as lifetime_created_portfolios,
                case when person.lifetime_created_portfolios is null then stored.lifetime_created_portfolios_at when person.lifetime_created_portfolios is distinct from stored.lifetime_created_portfolios then person.lifetime_created_portfolios_at when person.timed then greatest(stored.lifetime_created_portfolios_at, person.lifetime_created_portfolios_at) else stored.lifetime_created_portfolios_at end as lifetime_created_portfolios_at,
                coalesce(person.first_event_time, stored.first_event_time) as first_event_time,
                coalesce(person.last_event_time, stored.last_event_time) as last_event_time
        ) as target
        where stored.distinct_id is null or (
            target.total_copies, target.total_pdp_views, target.total_creator_profile_views, target.total_ach_transfers, target.paywall_views, target.total_subscriptions, target.app_sessions, target.discover_tab_views, target.stripe_modal_views, target.creator_card_taps, target.portfolio_card_taps, target.linked_bank_account, target.income, target.income_at, target.net_worth, target.net_worth_at, target.investing_activity, target.investing_activity_at, target.investing_experience_years, target.investing_experience_years_at, target.investing_objective, target.investing_objective_at, target.investment_type, target.investment_type_at, target.acquisition_survey, target.acquisition_survey_at, target.available_copy_credits, target.available_copy_credits_at, target.buying_power, target.buying_power_at, target.total_deposits, target.total_deposits_at, target.total_deposit_count, target.total_deposit_count_at, target.total_withdrawals, target.total_withdrawals_at, target.total_withdrawal_count, target.total_withdrawal_count_at, target.active_created_portfolios, target.active_created_portfolios_at, target.lifetime_created_portfolios, target.lifetime_created_portfolios_at, target.events_processed, target.first_event_time, target.last_event_time
        ) is distinct from (
            stored.total_copies, stored.total_pdp_views, stored.total_creator_profile_views, stored.total_ach_transfers, stored.paywall_views, stored.total_subscriptions, stored.app_sessions, stored.discover_tab_views, stored.stripe_modal_views, stored.creator_card_taps, stored.portfolio_card_taps, stored.linked_bank_account, stored.income, stored.income_at, stored.net_worth, stored.net_worth_at, stored.investing_activity, stored.investing_activity_at, stored.investing_experience_years, stored.investing_experience_years_at, stored.investing_objective, stored.investing_objective_at, stored.investment_type, stored.investment_type_at, stored.acquisition_survey, stored.acquisition_survey_at, stored.available_copy_credits, stored.available_copy_credits_at, stored.buying_power, stored.buying_power_at, stored.total_deposits, stored.total_deposits_at, stored.total_deposit_count, stored.total_deposit_count_at, stored.total_withdrawals, stored.total_withdrawals_at, stored.total_withdrawal_count, stored.total_withdrawal_count_at, stored.active_created_portfolios, stored.active_created_portfolios_at, stored.lifetime_created_portfolios, stored.lifetime_created_portfolios_at, stored.events_processed, stored.first_event_time, stored.last_event_time
        )
    ),
    written as (
        insert into subscribers_insights_v2 (distinct_id, total_copies, total_pdp_views, total_creator_profile_views, total_ach_transfers, paywall_views, total_subscriptions, app_sessions, discover_tab_views, stripe_modal_views, creator_card_taps, portfolio_card_taps, linked_bank_account, income, income_at, net_worth, net_worth_at, investing_activity, investing_activity_at, investing_experience_years, investing_experience_years_at, investing_objective, investing_objective_at, investment_type, investment_type_at, acquisition_survey, acquisition_survey_at, available_copy_credits, available_copy_credits_at, buying_power, buying_power_at, total_deposits, total_deposits_at, total_deposit_count, total_deposit_count_at, total_withdrawals, total_withdrawals_at, total_withdrawal_count, total_withdrawal_count_at, active_created_portfolios, active_created_portfolios_at, lifetime_created_portfolios, lifetime_created_portfolios_at, events_processed, first_event_time, last_event_time, updated_at)
        select distinct_id, total_copies, total_pdp_views, total_creator_profile_views, total_ach_transfers, paywall_views, total_subscriptions, app_sessions, discover_tab_views, stripe_modal_views, creator_card_taps, portfolio_card_taps, linked_bank_account, income, income_at, net_worth, net_worth_at, investing_activity, investing_activity_at, investing_experience_years, investing_experience_years_at, investing_objective, investing_objective_at, investment_type, investment_type_at, acquisition_survey, acquisition_survey_at, available_copy_credits, available_copy_credits_at, buying_power, buying_power_at, total_deposits, total_deposits_at, total_deposit_count, total_deposit_count_at, total_withdrawals, total_withdrawals_at, total_withdrawal_count, total_withdrawal_count_at, active_created_portfolios, active_created_portfolios_at, lifetime_created_portfolios, lifetime_created_portfolios_at, events_processed, first_event_time, last_event_time, now()
        from changed
        order by distinct_id
        on conflict (distinct_id) do update set
            total_copies = excluded.total_copies, total_pdp_views = excluded.total_pdp_views, total_creator_profile_views = excluded.total_creator_profile_views, total_ach_transfers = excluded.total_ach_transfers, paywall_views = excluded.paywall_views, total_subscriptions = excluded.total_subscriptions, app_sessions = excluded.app_sessions, discover_tab_views = excluded.discover_tab_views, stripe_modal_views = excluded.stripe_modal_views, creator_card_taps = excluded.creator_card_taps, portfolio_card_taps = excluded.portfolio_card_taps, linked_bank_account = excluded.linked_bank_account, income = excluded.income, income_at = excluded.income_at, net_worth = excluded.net_worth, net_worth_at = excluded.net_worth_at, investing_activity = excluded.investing_activity, investing_activity_at = excluded.investing_activity_at, investing_experience_years = excluded.investing_experience_years, investing_experience_years_at = excluded.investing_experience_years_at, investing_objective = excluded.investing_objective, investing_objective_at = excluded.investing_objective_at, investment_type = excluded.investment_type, investment_type_at = excluded.investment_type_at, acquisition_survey = excluded.acquisition_survey, acquisition_survey_at = excluded.acquisition_survey_at, available_copy_credits = excluded.available_copy_credits, available_copy_credits_at = excluded.available_copy_credits_at, buying_power = excluded.buying_power, buying_power_at = excluded.buying_power_at, total_deposits = excluded.total_deposits, total_deposits_at = excluded.total_deposits_at, total_deposit_count = excluded.total_deposit_count, total_deposit_count_at = excluded.total_deposit_count_at, total_withdrawals = excluded.total_withdrawals, total_withdrawals_at = excluded.total_withdrawals_at, total_withdrawal_count = excluded.total_withdrawal_count, total_withdrawal_count_at = excluded.total_withdrawal_count_at, active_created_portfolios = excluded.active_created_portfolios, active_created_portfolios_at = excluded.active_created_portfolios_at, lifetime_created_portfolios = excluded.lifetime_created_portfolios, lifetime_created_portfolios_at = excluded.lifetime_created_portfolios_at, events_processed = excluded.events_processed, first_event_time = excluded.first_event_time, last_event_time = excluded.last_event_time, updated_at = excluded.updated_at
    )
    select
        (select count(*) from changed where is_new),
        (select count(*) from changed where not is_new),
        (select count(*) from person) - (select count(*) from changed)
    into inserted, updated, unchanged;
    ignored_keys := unknown_profile_keys(profiles);
end
$$;

-- The same by a loop over the elements, kept to verify the set-based form (check set_based_equals_loop).
create function upsert_subscribers_incremental_loop(
    profiles jsonb, out inserted bigint, out updated bigint, out unchanged bigint, out ignored_keys text[]
)
language plpgsql
set timezone = 'UTC'
set enable_seqscan = off              -- a plan made while the table was empty is kept while it fills
as $$
declare
    element record;
    said subscribers_insights_v2;          -- what the elements of one person say so far
    timed boolean;
    stored subscribers_insights_v2;
    target subscribers_insights_v2;
begin
    perform pg_advisory_xact_lock(7241003, 0);
    inserted := 0;
    updated := 0;
    unchanged := 0;
    for element in
        select *, lead(distinct_id) over (order by distinct_id, observed_at, place) as following_id
        from read_subscriber_profiles(profiles)
        order by distinct_id, observed_at, place
    loop
        if said.distinct_id is distinct from element.distinct_id then
            said := null;
            said.distinct_id := element.distinct_id;
            timed := true;
        end if;
        if element.total_copies is not null then
            said.total_copies := element.total_copies;
        end if;
        if element.total_pdp_views is not null then
            said.total_pdp_views := element.total_pdp_views;
        end if;
        if element.total_creator_profile_views is not null then
            said.total_creator_profile_views := element.total_creator_profile_views;
        end if;
        if element.total_ach_transfers is not null then
            said.total_ach_transfers := element.total_ach_transfers;
        end if;
        if element.paywall_views is not null then
            said.paywall_views := element.paywall_views;
        end if;
        if element.total_subscriptions is not null then
            said.total_subscriptions := element.total_subscriptions;
        end if;
        if element.app_sessions is not null then
            said.app_sessions := element.app_sessions;
        end if;
        if element.discover_tab_views is not null then
            said.discover_tab_views := element.discover_tab_views;
        end if;
        if element.stripe_modal_views is not null then
            said.stripe_modal_views := element.stripe_modal_views;
        end if;
        if element.creator_card_taps is not null then
            said.creator_card_taps := element.creator_card_taps;
        end if;
        if element.portfolio_card_taps is not null then
            said.portfolio_card_taps := element.portfolio_card_taps;
        end if;
        if element.events_processed is not null then
            said.events_processed := element.events_processed;
        end if;
        if element.linked_bank_account is not null then
            said.linked_bank_account := element.linked_bank_account;
        end if;
        if element.income is not null then
            said.income := element.income;
            said.income_at := element.observed_at;
        end if;
        if element.net_worth is not null then
            said.net_worth := element.net_worth;
            said.net_worth_at := element.observed_at;
        end if;
        if element.investing_activity is not null then
            said.investing_activity := element.investing_activity;
            said.investing_activity_at := element.observed_at;
        end if;
        if element.investing_experience_years is not null then
            said.investing_experience_years := element.investing_experience_years;
            said.investing_experience_years_at := element.observed_at;
        end if;
        if element.investing_objective is not null then
            said.investing_objective := element.investing_objective;
            said.investing_objective_at := element.observed_at;
        end if;
        if element.investment_type is not null then
            said.investment_type := element.investment_type;
            said.investment_type_at := element.observed_at;
        end if;
        if element.acquisition_survey is not null then
            said.acquisition_survey := element.acquisition_survey;
            said.acquisition_survey_at := element.observed_at;
        end if;
        if element.available_copy_credits is not null then
            said.available_copy_credits := element.available_copy_credits;
            said.available_copy_credits_at := element.observed_at;
        end if;
        if element.buying_power is not null then
            said.buying_power := element.buying_power;
            said.buying_power_at := element.observed_at;
        end if;
        if element.total_deposits is not null then
            said.total_deposits := element.total_deposits;
            said.total_deposits_at := element.observed_at;
        end if;
        if element.total_deposit_count is not null then
            said.total_deposit_count := element.total_deposit_count;
            said.total_deposit_count_at := element.observed_at;
        end if;
        if element.total_withdrawals is not null then
            said.total_withdrawals := element.total_withdrawals;
            said.total_withdrawals_at := element.observed_at;
        end if;
        if element.total_withdrawal_count is not null then
            said.total_withdrawal_count := element.total_withdrawal_count;
            said.total_withdrawal_count_at := element.observed_at;
        end if;
        if element.active_created_portfolios is not null then
            said.active_created_portfolios := element.active_created_portfolios;
            said.active_created_portfolios_at := element.observed_at;
        end if;
        if element.lifetime_created_portfolios is not null then
            said.lifetime_created_portfolios := element.lifetime_created_portfolios;
            said.lifetime_created_portfolios_at := element.observed_at;
        end if;
        if element.first_event_time is not null then
            said.first_event_time := element.first_event_time;
        end if;
        if element.last_event_time is not null then
            said.last_event_time := element.last_event_time;
        else
            timed := false;
        end if;
        continue when element.following_id = element.distinct_id;

        select * into stored from subscribers_insights_v2 where distinct_id = said.distinct_id;
        target := stored;
        target.distinct_id := said.distinct_id;
        target.total_copies := coalesce(said.total_copies, stored.total_copies, 0);
        target.total_pdp_views := coalesce(said.total_pdp_views, stored.total_pdp_views, 0);
        target.total_creator_profile_views := coalesce(said.total_creator_profile_views, stored.total_creator_profile_views, 0);
        target.total_ach_transfers := coalesce(said.total_ach_transfers, stored.total_ach_transfers, 0);
        target.paywall_views := coalesce(said.paywall_views, stored.paywall_views, 0);
        target.total_subscriptions := coalesce(said.total_subscriptions, stored.total_subscriptions, 0);
        target.app_sessions := coalesce(said.app_sessions, stored.app_sessions, 0);
        target.discover_tab_views := coalesce(said.discover_tab_views, stored.discover_tab_views, 0);
        target.stripe_modal_views := coalesce(said.stripe_modal_views, stored.stripe_modal_views, 0);
        target.creator_card_taps := coalesce(said.creator_card_taps, stored.creator_card_taps, 0);
        target.portfolio_card_taps := coalesce(said.portfolio_card_taps, stored.portfolio_card_taps, 0);
        target.events_processed := coalesce(said.events_processed, stored.events_processed, 0);
        target.linked_bank_account := coalesce(said.linked_bank_account, stored.linked_bank_account, false);
        if said.income is not null then
            if said.income is distinct from stored.income then
                target.income := said.income;
                target.income_at := said.income_at;
            elsif timed then
                target.income_at := greatest(stored.income_at, said.income_at);
            end if;
        end if;
        if said.net_worth is not null then
            if said.net_worth is distinct from stored.net_worth then
                target.net_worth := said.net_worth;
                target.net_worth_at := said.net_worth_at;
            elsif timed then
                target.net_worth_at := greatest(stored.net_worth_at, said.net_worth_at);
            end if;
        end if;
        if said.investing_activity is not null then
            if said.investing_activity is distinct from stored.investing_activity then
                target.investing_activity := said.investing_activity;
                target.investing_activity_at := said.investing_activity_at;
            elsif timed then
                target.investing_activity_at := greatest(stored.investing_activity_at, said.investing_activity_at);
            end if;
        end if;
        if said.investing_experience_years is not null then
            if said.investing_experience_years is distinct from stored.investing_experience_years then
                target.investing_experience_years := said.investing_experience_years;
                target.investing_experience_years_at := said.investing_experience_years_at;
            elsif timed then
                target.investing_experience_years_at := greatest(stored.investing_experience_years_at, said.investing_experience_years_at);
            end if;
        end if;
        if said.investing_objective is not null then
            if said.investing_objective is distinct from stored.investing_objective then
                target.investing_objective := said.investing_objective;
                target.investing_objective_at := said.investing_objective_at;
            elsif timed then
                target.investing_objective_at := greatest(stored.investing_objective_at, said.investing_objective_at);
            end if;
        end if;
        if said.investment_type is not null then
            if said.investment_type is distinct from stored.investment_type then
                target.investment_type := said.investment_type;
                target.investment_type_at := said.investment_type_at;
            elsif timed then
                target.investment_type_at := greatest(stored.investment_type_at, said.investment_type_at);
            end if;
        end if;
        if said.acquisition_survey is not null then
            if said.acquisition_survey is distinct from stored.acquisition_survey then
                target.acquisition_survey := said.acquisition_survey;
                target.acquisition_survey_at := said.acquisition_survey_at;
            elsif timed then
                target.acquisition_survey_at := greatest(stored.acquisition_survey_at, said.acquisition_survey_at);
            end if;
        end if;
        if said.available_copy_credits is not null then
            if said.available_copy_credits is distinct from stored.available_copy_credits then
                target.available_copy_credits := said.available_copy_credits;
                target.available_copy_credits_at := said.available_copy_credits_at;
            elsif timed then
                target.available_copy_credits_at := greatest(stored.available_copy_credits_at, said.available_copy_credits_at);
            end if;
        end if;
        if said.buying_power is not null then
            if said.buying_power is distinct from stored.buying_power then
                target.buying_power := said.buying_power;
                target.buying_power_at := said.buying_power_at;
            elsif timed then
                target.buying_power_at := greatest(stored.buying_power_at, said.buying_power_at);
            end if;
        end if;
        if said.total_deposits is not null then
            if said.total_deposits is distinct from stored.total_deposits then
                target.total_deposits := said.total_deposits;
                target.total_deposits_at := said.total_deposits_at;
            elsif timed then
                target.total_deposits_at := greatest(stored.total_deposits_at, said.total_deposits_at);
            end if;
        end if;
        if said.total_deposit_count is not null then
            if said.total_deposit_count is distinct from stored.total_deposit_count then
                target.total_deposit_count := said.total_deposit_count;
                target.total_deposit_count_at := said.total_deposit_count_at;
            elsif timed then
                target.total_deposit_count_at := greatest(stored.total_deposit_count_at, said.total_deposit_count_at);
            end if;
        end if;
        if said.total_withdrawals is not null then
            if said.total_withdrawals is distinct from stored.total_withdrawals then
                target.total_withdrawals := said.total_withdrawals;
                target.total_withdrawals_at := said.total_withdrawals_at;
            elsif timed then
                target.total_withdrawals_at := greatest(stored.total_withdrawals_at, said.total_withdrawals_at);
            end if;
        end if;
        if said.total_withdrawal_count is not null then
            if said.total_withdrawal_count is distinct from stored.total_withdrawal_count then
                target.total_withdrawal_count := said.total_withdrawal_count;
                target.total_withdrawal_count_at := said.total_withdrawal_count_at;
            elsif timed then
                target.total_withdrawal_count_at := greatest(stored.total_withdrawal_count_at, said.total_withdrawal_count_at);
            end if;
        end if;
        if said.active_created_portfolios is not null then
            if said.active_created_portfolios is distinct from stored.active_created_portfolios then
                target.active_created_portfolios := said.active_created_portfolios;
                target.active_created_portfolios_at := said.active_created_portfolios_at;
            elsif timed then
                target.active_created_portfolios_at := greatest(stored.active_created_portfolios_at, said.active_created_portfolios_at);
            end if;
        end if;
        if said.lifetime_created_portfolios is not null then
            if said.lifetime_created_portfolios is distinct from stored.lifetime_created_portfolios then
                target.lifetime_created_portfolios := said.lifetime_created_portfolios;
                target.lifetime_created_portfolios_at := said.lifetime_created_portfolios_at;
            elsif timed then
                target.lifetime_created_portfolios_at := greatest(stored.lifetime_created_portfolios_at, said.lifetime_created_portfolios_at);
            end if;
        end if;
        target.first_event_time := coalesce(said.first_event_time, stored.first_event_time);
        target.last_event_time := coalesce(said.last_event_time, stored.last_event_time);

        if stored.distinct_id is null then
            target.updated_at := now();
            insert into subscribers_insights_v2 select target.*;
            inserted := inserted + 1;
        elsif target is distinct from stored then
            update subscribers_insights_v2 set
                total_copies = target.total_copies, total_pdp_views = target.total_pdp_views, total_creator_profile_views = target.total_creator_profile_views, total_ach_transfers = target.total_ach_transfers, paywall_views = target.paywall_views, total_subscriptions = target.total_subscriptions, app_sessions = target.app_sessions, discover_tab_views = target.discover_tab_views, stripe_modal_views = target.stripe_modal_views, creator_card_taps = target.creator_card_taps, portfolio_card_taps = target.portfolio_card_taps, linked_bank_account = target.linked_bank_account, income = target.income, income_at = target.income_at, net_worth = target.net_worth, net_worth_at = target.net_worth_at, investing_activity = target.investing_activity, investing_activity_at = target.investing_activity_at, investing_experience_years = target.investing_experience_years, investing_experience_years_at = target.investing_experience_years_at, investing_objective = target.investing_objective, investing_objective_at = target.investing_objective_at, investment_type = target.investment_type, investment_type_at = target.investment_type_at, acquisition_survey = target.acquisition_survey, acquisition_survey_at = target.acquisition_survey_at, available_copy_credits = target.available_copy_credits, available_copy_credits_at = target.available_copy_credits_at, buying_power = target.buying_power, buying_power_at = target.buying_power_at, total_deposits = target.total_deposits, total_deposits_at = target.total_deposits_at, total_deposit_count = target.total_deposit_count, total_deposit_count_at = target.total_deposit_count_at, total_withdrawals = target.total_withdrawals, total_withdrawals_at = target.total_withdrawals_at, total_withdrawal_count = target.total_withdrawal_count, total_withdrawal_count_at = target.total_withdrawal_count_at, active_created_portfolios = target.active_created_portfolios, active_created_portfolios_at = target.active_created_portfolios_at, lifetime_created_portfolios = target.lifetime_created_portfolios, lifetime_created_portfolios_at = target.lifetime_created_portfolios_at, events_processed = target.events_processed, first_event_time = target.first_event_time, last_event_time = target.last_event_time, updated_at = now()
            where distinct_id = target.distinct_id;
            updated := updated + 1;
        else
            unchanged := unchanged + 1;
        end if;
    end loop;
    ignored_keys := unknown_profile_keys(profiles);
end
$$;

-- ADD: counts add, flags stay true once true, a property takes the newest value by `observed_at`, the first and last
-- event's times widen.
-- Elements that name one person are first made one, in the order of `observed_at` and then of their place.
create function upsert_subscribers_incremental_add(
    profiles jsonb, out inserted bigint, out updated bigint, out unchanged bigint, out ignored_keys text[]
)
language plpgsql
set timezone = 'UTC'
set enable_seqscan = off              -- a plan made while the table was empty is kept while it fills
as $$
#variable_conflict use_column
begin
    perform pg_advisory_xact_lock(7241003, 0);
    with element as materialized (
        select * from read_subscriber_profiles(profiles)
    ),
    repeated as materialized (
        select distinct_id from element group by distinct_id having count(*) > 1
    ),
    person as materialized (
        select
            distinct_id,
            total_copies, total_pdp_views, total_creator_profile_views, total_ach_transfers, paywall_views, total_subscriptions, app_sessions, discover_tab_views, stripe_modal_views, creator_card_taps, portfolio_card_taps, events_processed, linked_bank_account,
            income, observed_at as income_at, net_worth, observed_at as net_worth_at, investing_activity, observed_at as investing_activity_at, investing_experience_years, observed_at as investing_experience_years_at, investing_objective, observed_at as investing_objective_at, investment_type, observed_at as investment_type_at, acquisition_survey, observed_at as acquisition_survey_at, available_copy_credits, observed_at as available_copy_credits_at, buying_power, observed_at as buying_power_at, total_deposits, observed_at as total_deposits_at, total_deposit_count, observed_at as total_deposit_count_at, total_withdrawals, observed_at as total_withdrawals_at, total_withdrawal_count, observed_at as total_withdrawal_count_at, active_created_portfolios, observed_at as active_created_portfolios_at, lifetime_created_portfolios, observed_at as lifetime_created_portfolios_at, 
            first_event_time, last_event_time,
            last_event_time is not null as timed
        from element
        where not exists (select from repeated where repeated.distinct_id = element.distinct_id)
        union all
        select
            distinct_id,
            sum(total_copies)::bigint, sum(total_pdp_views)::bigint, sum(total_creator_profile_views)::bigint, sum(total_ach_transfers)::bigint, sum(paywall_views)::bigint, sum(total_subscriptions)::bigint, sum(app_sessions)::bigint, sum(discover_tab_views)::bigint, sum(stripe_modal_views)::bigint, sum(creator_card_taps)::bigint, sum(portfolio_card_taps)::bigint, sum(events_processed)::bigint,
            bool_or(linked_bank_account),
            (array_agg(income order by observed_at desc, place desc) filter (where income is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where income is not null))[1],
            (array_agg(net_worth order by observed_at desc, place desc) filter (where net_worth is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where net_worth is not null))[1],
            (array_agg(investing_activity order by observed_at desc, place desc) filter (where investing_activity is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where investing_activity is not null))[1],
            (array_agg(investing_experience_years order by observed_at desc, place desc) filter (where investing_experience_years is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where investing_experience_years is not null))[1],
            (array_agg(investing_objective order by observed_at desc, place desc) filter (where investing_objective is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where investing_objective is not null))[1],
            (array_agg(investment_type order by observed_at desc, place desc) filter (where investment_type is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where investment_type is not null))[1],
            (array_agg(acquisition_survey order by observed_at desc, place desc) filter (where acquisition_survey is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where acquisition_survey is not null))[1],
            (array_agg(available_copy_credits order by observed_at desc, place desc) filter (where available_copy_credits is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where available_copy_credits is not null))[1],
            (array_agg(buying_power order by observed_at desc, place desc) filter (where buying_power is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where buying_power is not null))[1],
            (array_agg(total_deposits order by observed_at desc, place desc) filter (where total_deposits is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where total_deposits is not null))[1],
            (array_agg(total_deposit_count order by observed_at desc, place desc) filter (where total_deposit_count is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where total_deposit_count is not null))[1],
            (array_agg(total_withdrawals order by observed_at desc, place desc) filter (where total_withdrawals is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where total_withdrawals is not null))[1],
            (array_agg(total_withdrawal_count order by observed_at desc, place desc) filter (where total_withdrawal_count is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where total_withdrawal_count is not null))[1],
            (array_agg(active_created_portfolios order by observed_at desc, place desc) filter (where active_created_portfolios is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where active_created_portfolios is not null))[1],
            (array_agg(lifetime_created_portfolios order by observed_at desc, place desc) filter (where lifetime_created_portfolios is not null))[1],
            (array_agg(observed_at order by observed_at desc, place desc) filter (where lifetime_created_portfolios is not null))[1],
            min(first_event_time),
            max(last_event_time),
            bool_and(last_event_time is not null)
        from element
        where exists (select from repeated where repeated.distinct_id = element.distinct_id)
        group by distinct_id
    ),
    changed as materialized (
        select stored.distinct_id is null as is_new, person.distinct_id, target.*
        from person
        -- By the primary key, person by person: a join would be planned for a thousand people and read the whole table
        -- for one. `limit` keeps the planner from making a join of it.
        left join lateral (
            select * from subscribers_insights_v2 as existing where existing.distinct_id = person.distinct_id limit 1
        ) as stored on true
        cross join lateral (
            select
                coalesce(stored.total_copies, 0) + coalesce(person.total_copies, 0) as total_copies,
                coalesce(stored.total_pdp_views, 0) + coalesce(person.total_pdp_views, 0) as total_pdp_views,
                coalesce(stored.total_creator_profile_views, 0) + coalesce(person.total_creator_profile_views, 0) as total_creator_profile_views,
                coalesce(stored.total_ach_transfers, 0) + coalesce(person.total_ach_transfers, 0) as total_ach_transfers,
                coalesce(stored.paywall_views, 0) + coalesce(person.paywall_views, 0) as paywall_views,
                coalesce(stored.total_subscriptions, 0) + coalesce(person.total_subscriptions, 0) as total_subscriptions,
                coalesce(stored.app_sessions, 0) + coalesce(person.app_sessions, 0) as app_sessions,
                coalesce(stored.discover_tab_views, 0) + coalesce(person.discover_tab_views, 0) as discover_tab_views,
                coalesce(stored.stripe_modal_views, 0) + coalesce(person.stripe_modal_views, 0) as stripe_modal_views,
                coalesce(stored.creator_card_taps, 0) + coalesce(person.creator_card_taps, 0) as creator_card_taps,
                coalesce(stored.portfolio_card_taps, 0) + coalesce(person.portfolio_card_taps, 0) as portfolio_card_taps,
                coalesce(stored.events_processed, 0) + coalesce(person.events_processed, 0) as events_processed,
                coalesce(stored.linked_bank_account, false) or coalesce(person.linked_bank_account, false) as linked_bank_account,
                case when person.income is null or person.income = stored.income or person.income_at < stored.income_at then stored.income else person.income end as income,
                case when person.income is null then stored.income_at when person.income = stored.income and not person.timed then stored.income_at else greatest(stored.income_at, person.income_at) end as income_at,
                case when person.net_worth is null or person.net_worth = stored.net_worth or person.net_worth_at < stored.net_worth_at then stored.net_worth else person.net_worth end as net_worth,
                case when person.net_worth is null then stored.net_worth_at when person.net_worth = stored.net_worth and not person.timed then stored.net_worth_at else greatest(stored.net_worth_at, person.net_worth_at) end as net_worth_at,
                case when person.investing_activity is null or person.investing_activity = stored.investing_activity or person.investing_activity_at < stored.investing_activity_at then stored.investing_activity else person.investing_activity end as investing_activity,
                case when person.investing_activity is null then stored.investing_activity_at when person.investing_activity = stored.investing_activity and not person.timed then stored.investing_activity_at else greatest(stored.investing_activity_at, person.investing_activity_at) end as investing_activity_at,
                case when person.investing_experience_years is null or person.investing_experience_years = stored.investing_experience_years or person.investing_experience_years_at < stored.investing_experience_years_at then stored.investing_experience_years else person.investing_experience_years end as investing_experience_years,
                case when person.investing_experience_years is null then stored.investing_experience_years_at when person.investing_experience_years = stored.investing_experience_years and not person.timed then stored.investing_experience_years_at else greatest(stored.investing_experience_years_at, person.investing_experience_years_at) end as investing_experience_years_at,
                case when person.investing_objective is null or person.investing_objective = stored.investing_objective or person.investing_objective_at < stored.investing_objective_at then stored.investing_objective else person.investing_objective end as investing_objective,
                case when person.investing_objective is null then stored.investing_objective_at when person.investing_objective = stored.investing_objective and not person.timed then stored.investing_objective_at else greatest(stored.investing_objective_at, person.investing_objective_at) end as investing_objective_at,
                case when person.investment_type is null or person.investment_type = stored.investment_type or person.investment_type_at < stored.investment_type_at then stored.investment_type else person.investment_type end as investment_type,
                case when person.investment_type is null then stored.investment_type_at when person.investment_type = stored.investment_type and not person.timed then stored.investment_type_at else greatest(stored.investment_type_at, person.investment_type_at) end as investment_type_at,
                case when person.acquisition_survey is null or person.acquisition_survey = stored.acquisition_survey or person.acquisition_survey_at < stored.acquisition_survey_at then stored.acquisition_survey else person.acquisition_survey end as acquisition_survey,
                case when person.acquisition_survey is null then stored.acquisition_survey_at when person.acquisition_survey = stored.acquisition_survey and not person.timed then stored.acquisition_survey_at else greatest(stored.acquisition_survey_at, person.acquisition_survey_at) end as acquisition_survey_at,
                case when person.available_copy_credits is null or person.available_copy_credits = stored.available_copy_credits or person.available_copy_credits_at < stored.available_copy_credits_at then stored.available_copy_credits else person.available_copy_credits end as available_copy_credits,
                case when person.available_copy_credits is null then stored.available_copy_credits_at when person.available_copy_credits = stored.available_copy_credits and not person.timed then stored.available_copy_credits_at else greatest(stored.available_copy_credits_at, person.available_copy_credits_at) end as available_copy_credits_at,
                case when person.buying_power is null or person.buying_power = stored.buying_power or person.buying_power_at < stored.buying_power_at then stored.buying_power else person.buying_power end as buying_power,
                case when person.buying_power is null then stored.buying_power_at when person.buying_power = stored.buying_power and not person.timed then stored.buying_power_at else greatest(stored.buying_power_at, person.buying_power_at) end as buying_power_at,
                case when person.total_deposits is null or person.total_deposits = stored.total_deposits or person.total_deposits_at < stored.total_deposits_at then stored.total_deposits else person.total_deposits end as total_deposits,
                case when person.total_deposits is null then stored.total_deposits_at when person.total_deposits = stored.total_deposits and not person.timed then stored.total_deposits_at else greatest(stored.total_deposits_at, person.total_deposits_at) end as total_deposits_at,
                case when person.total_deposit_count is null or person.total_deposit_count = stored.total_deposit_count or person.total_deposit_count_at < stored.total_deposit_count_at then stored.total_deposit_count else person.total_deposit_count end as total_deposit_count,
                case when person.total_deposit_count is null then stored.total_deposit_count_at when person.total_deposit_count = stored.total_deposit_count and not person.timed then stored.total_deposit_count_at else greatest(stored.total_deposit_count_at, person.total_deposit_count_at) end as total_deposit_count_at,
                case when person.total_withdrawals is null or person.total_withdrawals = stored.total_withdrawals or person.total_withdrawals_at < stored.total_withdrawals_at then stored.total_withdrawals else person.total_withdrawals end as total_withdrawals,
                case when person.total_withdrawals is null then stored.total_withdrawals_at when person.total_withdrawals = stored.total_withdrawals and not person.timed then stored.total_withdrawals_at else greatest(stored.total_withdrawals_at, person.total_withdrawals_at) end as total_withdrawals_at,
                case when person.total_withdrawal_count is null or person.total_withdrawal_count = stored.total_withdrawal_count or person.total_withdrawal_count_at < stored.total_withdrawal_count_at then stored.total_withdrawal_count else person.total_withdrawal_count end as total_withdrawal_count,
                case when person.total_withdrawal_count is null then stored.total_withdrawal_count_at when person.total_withdrawal_count = stored.total_withdrawal_count and not person.timed then stored.total_withdrawal_count_at else greatest(stored.total_withdrawal_count_at, person.total_withdrawal_count_at) end as total_withdrawal_count_at,
                case when person.active_created_portfolios is null or person.active_created_portfolios = stored.active_created_portfolios or person.active_created_portfolios_at < stored.active_created_portfolios_at then stored.active_created_portfolios else person.active_created_portfolios end as active_created_portfolios,
                case when person.active_created_portfolios is null then stored.active_created_portfolios_at when person.active_created_portfolios = stored.active_created_portfolios and not person.timed then stored.active_created_portfolios_at else greatest(stored.active_created_portfolios_at, person.active_created_portfolios_at) end as active_created_portfolios_at,
                case when person.lifetime_created_portfolios is null or person.lifetime_created_portfolios = stored.lifetime_created_portfolios or person.lifetime_created_portfolios_at < stored.lifetime_created_portfolios_at then stored.lifetime_created_portfolios else person.lifetime_created_portfolios end as lifetime_created_portfolios,
                case when person.lifetime_created_portfolios is null then stored.lifetime_created_portfolios_at when person.lifetime_created_portfolios = stored.lifetime_created_portfolios and not person.timed then stored.lifetime_created_portfolios_at else greatest(stored.lifetime_created_portfolios_at, person.lifetime_created_portfolios_at) end as lifetime_created_portfolios_at,
                least(stored.first_event_time, person.first_event_time) as first_event_time,
                greatest(stored.last_event_time, person.last_event_time) as last_event_time
        ) as target
        where stored.distinct_id is null or (
            target.total_copies, target.total_pdp_views, target.total_creator_profile_views, target.total_ach_transfers, target.paywall_views, target.total_subscriptions, target.app_sessions, target.discover_tab_views, target.stripe_modal_views, target.creator_card_taps, target.portfolio_card_taps, target.linked_bank_account, target.income, target.income_at, target.net_worth, target.net_worth_at, target.investing_activity, target.investing_activity_at, target.investing_experience_years, target.investing_experience_years_at, target.investing_objective, target.investing_objective_at, target.investment_type, target.investment_type_at, target.acquisition_survey, target.acquisition_survey_at, target.available_copy_credits, target.available_copy_credits_at, target.buying_power, target.buying_power_at, target.total_deposits, target.total_deposits_at, target.total_deposit_count, target.total_deposit_count_at, target.total_withdrawals, target.total_withdrawals_at, target.total_withdrawal_count, target.total_withdrawal_count_at, target.active_created_portfolios, target.active_created_portfolios_at, target.lifetime_created_portfolios, target.lifetime_created_portfolios_at, target.events_processed, target.first_event_time, target.last_event_time
        ) is distinct from (
            stored.total_copies, stored.total_pdp_views, stored.total_creator_profile_views, stored.total_ach_transfers, stored.paywall_views, stored.total_subscriptions, stored.app_sessions, stored.discover_tab_views, stored.stripe_modal_views, stored.creator_card_taps, stored.portfolio_card_taps, stored.linked_bank_account, stored.income, stored.income_at, stored.net_worth, stored.net_worth_at, stored.investing_activity, stored.investing_activity_at, stored.investing_experience_years, stored.investing_experience_years_at, stored.investing_objective, stored.investing_objective_at, stored.investment_type, stored.investment_type_at, stored.acquisition_survey, stored.acquisition_survey_at, stored.available_copy_credits, stored.available_copy_credits_at, stored.buying_power, stored.buying_power_at, stored.total_deposits, stored.total_deposits_at, stored.total_deposit_count, stored.total_deposit_count_at, stored.total_withdrawals, stored.total_withdrawals_at, stored.total_withdrawal_count, stored.total_withdrawal_count_at, stored.active_created_portfolios, stored.active_created_portfolios_at, stored.lifetime_created_portfolios, stored.lifetime_created_portfolios_at, stored.events_processed, stored.first_event_time, stored.last_event_time
        )
    ),
    written as (
        insert into subscribers_insights_v2 (distinct_id, total_copies, total_pdp_views, total_creator_profile_views, total_ach_transfers, paywall_views, total_subscriptions, app_sessions, discover_tab_views, stripe_modal_views, creator_card_taps, portfolio_card_taps, linked_bank_account, income, income_at, net_worth, net_worth_at, investing_activity, investing_activity_at, investing_experience_years, investing_experience_years_at, investing_objective, investing_objective_at, investment_type, investment_type_at, acquisition_survey, acquisition_survey_at, available_copy_credits, available_copy_credits_at, buying_power, buying_power_at, total_deposits, total_deposits_at, total_deposit_count, total_deposit_count_at, total_withdrawals, total_withdrawals_at, total_withdrawal_count, total_withdrawal_count_at, active_created_portfolios, active_created_portfolios_at, lifetime_created_portfolios, lifetime_created_portfolios_at, events_processed, first_event_time, last_event_time, updated_at)
        select distinct_id, total_copies, total_pdp_views, total_creator_profile_views, total_ach_transfers, paywall_views, total_subscriptions, app_sessions, discover_tab_views, stripe_modal_views, creator_card_taps, portfolio_card_taps, linked_bank_account, income, income_at, net_worth, net_worth_at, investing_activity, investing_activity_at, investing_experience_years, investing_experience_years_at, investing_objective, investing_objective_at, investment_type, investment_type_at, acquisition_survey, acquisition_survey_at, available_copy_credits, available_copy_credits_at, buying_power, buying_power_at, total_deposits, total_deposits_at, total_deposit_count, total_deposit_count_at, total_withdrawals, total_withdrawals_at, total_withdrawal_count, total_withdrawal_count_at, active_created_portfolios, active_created_portfolios_at, lifetime_created_portfolios, lifetime_created_portfolios_at, events_processed, first_event_time, last_event_time, now()
        from changed
        order by distinct_id
        on conflict (distinct_id) do update set
            total_copies = excluded.total_copies, total_pdp_views = excluded.total_pdp_views, total_creator_profile_views = excluded.total_creator_profile_views, total_ach_transfers = excluded.total_ach_transfers, paywall_views = excluded.paywall_views, total_subscriptions = excluded.total_subscriptions, app_sessions = excluded.app_sessions, discover_tab_views = excluded.discover_tab_views, stripe_modal_views = excluded.stripe_modal_views, creator_card_taps = excluded.creator_card_taps, portfolio_card_taps = excluded.portfolio_card_taps, linked_bank_account = excluded.linked_bank_account, income = excluded.income, income_at = excluded.income_at, net_worth = excluded.net_worth, net_worth_at = excluded.net_worth_at, investing_activity = excluded.investing_activity, investing_activity_at = excluded.investing_activity_at, investing_experience_years = excluded.investing_experience_years, investing_experience_years_at = excluded.investing_experience_years_at, investing_objective = excluded.investing_objective, investing_objective_at = excluded.investing_objective_at, investment_type = excluded.investment_type, investment_type_at = excluded.investment_type_at, acquisition_survey = excluded.acquisition_survey, acquisition_survey_at = excluded.acquisition_survey_at, available_copy_credits = excluded.available_copy_credits, available_copy_credits_at = excluded.available_copy_credits_at, buying_power = excluded.buying_power, buying_power_at = excluded.buying_power_at, total_deposits = excluded.total_deposits, total_deposits_at = excluded.total_deposits_at, total_deposit_count = excluded.total_deposit_count, total_deposit_count_at = excluded.total_deposit_count_at, total_withdrawals = excluded.total_withdrawals, total_withdrawals_at = excluded.total_withdrawals_at, total_withdrawal_count = excluded.total_withdrawal_count, total_withdrawal_count_at = excluded.total_withdrawal_count_at, active_created_portfolios = excluded.active_created_portfolios, active_created_portfolios_at = excluded.active_created_portfolios_at, lifetime_created_portfolios = excluded.lifetime_created_portfolios, lifetime_created_portfolios_at = excluded.lifetime_created_portfolios_at, events_processed = excluded.events_processed, first_event_time = excluded.first_event_time, last_event_time = excluded.last_event_time, updated_at = excluded.updated_at
    )
    select
        (select count(*) from changed where is_new),
        (select count(*) from changed where not is_new),
        (select count(*) from person) - (select count(*) from changed)
    into inserted, updated, unchanged;
    ignored_keys := unknown_profile_keys(profiles);
end
$$;

-- The same by a loop over the elements, kept to verify the set-based form (check set_based_equals_loop).
create function upsert_subscribers_incremental_add_loop(
    profiles jsonb, out inserted bigint, out updated bigint, out unchanged bigint, out ignored_keys text[]
)
language plpgsql
set timezone = 'UTC'
set enable_seqscan = off              -- a plan made while the table was empty is kept while it fills
as $$
declare
    element record;
    said subscribers_insights_v2;          -- what the elements of one person say so far
    timed boolean;
    stored subscribers_insights_v2;
    target subscribers_insights_v2;
begin
    perform pg_advisory_xact_lock(7241003, 0);
    inserted := 0;
    updated := 0;
    unchanged := 0;
    for element in
        select *, lead(distinct_id) over (order by distinct_id, observed_at, place) as following_id
        from read_subscriber_profiles(profiles)
        order by distinct_id, observed_at, place
    loop
        if said.distinct_id is distinct from element.distinct_id then
            said := null;
            said.distinct_id := element.distinct_id;
            timed := true;
        end if;
        if element.total_copies is not null then
            said.total_copies := coalesce(said.total_copies, 0) + element.total_copies;
        end if;
        if element.total_pdp_views is not null then
            said.total_pdp_views := coalesce(said.total_pdp_views, 0) + element.total_pdp_views;
        end if;
        if element.total_creator_profile_views is not null then
            said.total_creator_profile_views := coalesce(said.total_creator_profile_views, 0) + element.total_creator_profile_views;
        end if;
        if element.total_ach_transfers is not null then
            said.total_ach_transfers := coalesce(said.total_ach_transfers, 0) + element.total_ach_transfers;
        end if;
        if element.paywall_views is not null then
            said.paywall_views := coalesce(said.paywall_views, 0) + element.paywall_views;
        end if;
        if element.total_subscriptions is not null then
            said.total_subscriptions := coalesce(said.total_subscriptions, 0) + element.total_subscriptions;
        end if;
        if element.app_sessions is not null then
            said.app_sessions := coalesce(said.app_sessions, 0) + element.app_sessions;
        end if;
        if element.discover_tab_views is not null then
            said.discover_tab_views := coalesce(said.discover_tab_views, 0) + element.discover_tab_views;
        end if;
        if element.stripe_modal_views is not null then
            said.stripe_modal_views := coalesce(said.stripe_modal_views, 0) + element.stripe_modal_views;
        end if;
        if element.creator_card_taps is not null then
            said.creator_card_taps := coalesce(said.creator_card_taps, 0) + element.creator_card_taps;
        end if;
        if element.portfolio_card_taps is not null then
            said.portfolio_card_taps := coalesce(said.portfolio_card_taps, 0) + element.portfolio_card_taps;
        end if;
        if element.events_processed is not null then
            said.events_processed := coalesce(said.events_processed, 0) + element.events_processed;
        end if;
        if element.linked_bank_account is not null then
            said.linked_bank_account := coalesce(said.linked_bank_account, false) or element.linked_bank_account;
        end if;
        if element.income is not null then
            said.income := element.income;
            said.income_at := element.observed_at;
        end if;
        if element.net_worth is not null then
            said.net_worth := element.net_worth;
            said.net_worth_at := element.observed_at;
        end if;
        if element.investing_activity is not null then
            said.investing_activity := element.investing_activity;
            said.investing_activity_at := element.observed_at;
        end if;
        if element.investing_experience_years is not null then
            said.investing_experience_years := element.investing_experience_years;
            said.investing_experience_years_at := element.observed_at;
        end if;
        if element.investing_objective is not null then
            said.investing_objective := element.investing_objective;
            said.investing_objective_at := element.observed_at;
        end if;
        if element.investment_type is not null then
            said.investment_type := element.investment_type;
            said.investment_type_at := element.observed_at;
        end if;
        if element.acquisition_survey is not null then
            said.acquisition_survey := element.acquisition_survey;
            said.acquisition_survey_at := element.observed_at;
        end if;
        if element.available_copy_credits is not null then
            said.available_copy_credits := element.available_copy_credits;
            said.available_copy_credits_at := element.observed_at;
        end if;
        if element.buying_power is not null then
            said.buying_power := element.buying_power;
            said.buying_power_at := element.observed_at;
        end if;
        if element.total_deposits is not null then
            said.total_deposits := element.total_deposits;
            said.total_deposits_at := element.observed_at;
        end if;
        if element.total_deposit_count is not null then
            said.total_deposit_count := element.total_deposit_count;
            said.total_deposit_count_at := element.observed_at;
        end if;
        if element.total_withdrawals is not null then
            said.total_withdrawals := element.total_withdrawals;
            said.total_withdrawals_at := element.observed_at;
        end if;
        if element.total_withdrawal_count is not null then
            said.total_withdrawal_count := element.total_withdrawal_count;
            said.total_withdrawal_count_at := element.observed_at;
        end if;
        if element.active_created_portfolios is not null then
            said.active_created_portfolios := element.active_created_portfolios;
            said.active_created_portfolios_at := element.observed_at;
        end if;
        if element.lifetime_created_portfolios is not null then
            said.lifetime_created_portfolios := element.lifetime_created_portfolios;
            said.lifetime_created_portfolios_at := element.observed_at;
        end if;
        if element.first_event_time is not null then
            said.first_event_time := least(said.first_event_time, element.first_event_time);
        end if;
        if element.last_event_time is not null then
            said.last_event_time := greatest(said.last_event_time, element.last_event_time);
        else
            timed := false;
        end if;
        continue when element.following_id = element.distinct_id;

        select * into stored from subscribers_insights_v2 where distinct_id = said.distinct_id;
        target := stored;
        target.distinct_id := said.distinct_id;
        target.total_copies := coalesce(stored.total_copies, 0) + coalesce(said.total_copies, 0);
        target.total_pdp_views := coalesce(stored.total_pdp_views, 0) + coalesce(said.total_pdp_views, 0);
        target.total_creator_profile_views := coalesce(stored.total_creator_profile_views, 0) + coalesce(said.total_creator_profile_views, 0);
        target.total_ach_transfers := coalesce(stored.total_ach_transfers, 0) + coalesce(said.total_ach_transfers, 0);
        target.paywall_views := coalesce(stored.paywall_views, 0) + coalesce(said.paywall_views, 0);
        target.total_subscriptions := coalesce(stored.total_subscriptions, 0) + coalesce(said.total_subscriptions, 0);
        target.app_sessions := coalesce(stored.app_sessions, 0) + coalesce(said.app_sessions, 0);
        target.discover_tab_views := coalesce(stored.discover_tab_views, 0) + coalesce(said.discover_tab_views, 0);
        target.stripe_modal_views := coalesce(stored.stripe_modal_views, 0) + coalesce(said.stripe_modal_views, 0);
        target.creator_card_taps := coalesce(stored.creator_card_taps, 0) + coalesce(said.creator_card_taps, 0);
        target.portfolio_card_taps := coalesce(stored.portfolio_card_taps, 0) + coalesce(said.portfolio_card_taps, 0);
        target.events_processed := coalesce(stored.events_processed, 0) + coalesce(said.events_processed, 0);
        target.linked_bank_account := coalesce(stored.linked_bank_account, false) or coalesce(said.linked_bank_account, false);
        if said.income is not null then
            if said.income is distinct from stored.income then
                if stored.income_at is null or said.income_at >= stored.income_at then
                    target.income := said.income;
                    target.income_at := said.income_at;
                end if;
            elsif timed then
                target.income_at := greatest(stored.income_at, said.income_at);
            end if;
        end if;
        if said.net_worth is not null then
            if said.net_worth is distinct from stored.net_worth then
                if stored.net_worth_at is null or said.net_worth_at >= stored.net_worth_at then
                    target.net_worth := said.net_worth;
                    target.net_worth_at := said.net_worth_at;
                end if;
            elsif timed then
                target.net_worth_at := greatest(stored.net_worth_at, said.net_worth_at);
            end if;
        end if;
        if said.investing_activity is not null then
            if said.investing_activity is distinct from stored.investing_activity then
                if stored.investing_activity_at is null or said.investing_activity_at >= stored.investing_activity_at then
                    target.investing_activity := said.investing_activity;
                    target.investing_activity_at := said.investing_activity_at;
                end if;
            elsif timed then
                target.investing_activity_at := greatest(stored.investing_activity_at, said.investing_activity_at);
            end if;
        end if;
        if said.investing_experience_years is not null then
            if said.investing_experience_years is distinct from stored.investing_experience_years then
                if stored.investing_experience_years_at is null or said.investing_experience_years_at >= stored.investing_experience_years_at then
                    target.investing_experience_years := said.investing_experience_years;
                    target.investing_experience_years_at := said.investing_experience_years_at;
                end if;
            elsif timed then
                target.investing_experience_years_at := greatest(stored.investing_experience_years_at, said.investing_experience_years_at);
            end if;
        end if;
        if said.investing_objective is not null then
            if said.investing_objective is distinct from stored.investing_objective then
                if stored.investing_objective_at is null or said.investing_objective_at >= stored.investing_objective_at then
                    target.investing_objective := said.investing_objective;
                    target.investing_objective_at := said.investing_objective_at;
                end if;
            elsif timed then
                target.investing_objective_at := greatest(stored.investing_objective_at, said.investing_objective_at);
            end if;
        end if;
        if said.investment_type is not null then
            if said.investment_type is distinct from stored.investment_type then
                if stored.investment_type_at is null or said.investment_type_at >= stored.investment_type_at then
                    target.investment_type := said.investment_type;
                    target.investment_type_at := said.investment_type_at;
                end if;
            elsif timed then
                target.investment_type_at := greatest(stored.investment_type_at, said.investment_type_at);
            end if;
        end if;
        if said.acquisition_survey is not null then
            if said.acquisition_survey is distinct from stored.acquisition_survey then
                if stored.acquisition_survey_at is null or said.acquisition_survey_at >= stored.acquisition_survey_at then
                    target.acquisition_survey := said.acquisition_survey;
                    target.acquisition_survey_at := said.acquisition_survey_at;
                end if;
            elsif timed then
                target.acquisition_survey_at := greatest(stored.acquisition_survey_at, said.acquisition_survey_at);
            end if;
        end if;
        if said.available_copy_credits is not null then
            if said.available_copy_credits is distinct from stored.available_copy_credits then
                if stored.available_copy_credits_at is null or said.available_copy_credits_at >= stored.available_copy_credits_at then
                    target.available_copy_credits := said.available_copy_credits;
                    target.available_copy_credits_at := said.available_copy_credits_at;
                end if;
            elsif timed then
                target.available_copy_credits_at := greatest(stored.available_copy_credits_at, said.available_copy_credits_at);
            end if;
        end if;
        if said.buying_power is not null then
            if said.buying_power is distinct from stored.buying_power then
                if stored.buying_power_at is null or said.buying_power_at >= stored.buying_power_at then
                    target.buying_power := said.buying_power;
                    target.buying_power_at := said.buying_power_at;
                end if;
            elsif timed then
                target.buying_power_at := greatest(stored.buying_power_at, said.buying_power_at);
            end if;
        end if;
        if said.total_deposits is not null then
            if said.total_deposits is distinct from stored.total_deposits then
                if stored.total_deposits_at is null or said.total_deposits_at >= stored.total_deposits_at then
                    target.total_deposits := said.total_deposits;
                    target.total_deposits_at := said.total_deposits_at;
                end if;
            elsif timed then
                target.total_deposits_at := greatest(stored.total_deposits_at, said.total_deposits_at);
            end if;
        end if;
        if said.total_deposit_count is not null then
            if said.total_deposit_count is distinct from stored.total_deposit_count then
                if stored.total_deposit_count_at is null or said.total_deposit_count_at >= stored.total_deposit_count_at then
                    target.total_deposit_count := said.total_deposit_count;
                    target.total_deposit_count_at := said.total_deposit_count_at;
                end if;
            elsif timed then
                target.total_deposit_count_at := greatest(stored.total_deposit_count_at, said.total_deposit_count_at);
            end if;
        end if;
        if said.total_withdrawals is not null then
            if said.total_withdrawals is distinct from stored.total_withdrawals then
                if stored.total_withdrawals_at is null or said.total_withdrawals_at >= stored.total_withdrawals_at then
                    target.total_withdrawals := said.total_withdrawals;
                    target.total_withdrawals_at := said.total_withdrawals_at;
                end if;
            elsif timed then
                target.total_withdrawals_at := greatest(stored.total_withdrawals_at, said.total_withdrawals_at);
            end if;
        end if;
        if said.total_withdrawal_count is not null then
            if said.total_withdrawal_count is distinct from stored.total_withdrawal_count then
                if stored.total_withdrawal_count_at is null or said.total_withdrawal_count_at >= stored.total_withdrawal_count_at then
                    target.total_withdrawal_count := said.total_withdrawal_count;
                    target.total_withdrawal_count_at := said.total_withdrawal_count_at;
                end if;
            elsif timed then
                target.total_withdrawal_count_at := greatest(stored.total_withdrawal_count_at, said.total_withdrawal_count_at);
            end if;
        end if;
        if said.active_created_portfolios is not null then
            if said.active_created_portfolios is distinct from stored.active_created_portfolios then
                if stored.active_created_portfolios_at is null or said.active_created_portfolios_at >= stored.active_created_portfolios_at then
                    target.active_created_portfolios := said.active_created_portfolios;
                    target.active_created_portfolios_at := said.active_created_portfolios_at;
                end if;
            elsif timed then
                target.active_created_portfolios_at := greatest(stored.active_created_portfolios_at, said.active_created_portfolios_at);
            end if;
        end if;
        if said.lifetime_created_portfolios is not null then
            if said.lifetime_created_portfolios is distinct from stored.lifetime_created_portfolios then
                if stored.lifetime_created_portfolios_at is null or said.lifetime_created_portfolios_at >= stored.lifetime_created_portfolios_at then
                    target.lifetime_created_portfolios := said.lifetime_created_portfolios;
                    target.lifetime_created_portfolios_at := said.lifetime_created_portfolios_at;
                end if;
            elsif timed then
                target.lifetime_created_portfolios_at := greatest(stored.lifetime_created_portfolios_at, said.lifetime_created_portfolios_at);
            end if;
        end if;
        target.first_event_time := least(stored.first_event_time, said.first_event_time);
        target.last_event_time := greatest(stored.last_event_time, said.last_event_time);

        if stored.distinct_id is null then
            target.updated_at := now();
            insert into subscribers_insights_v2 select target.*;
            inserted := inserted + 1;
        elsif target is distinct from stored then
            update subscribers_insights_v2 set
                total_copies = target.total_copies, total_pdp_views = target.total_pdp_views, total_creator_profile_views = target.total_creator_profile_views, total_ach_transfers = target.total_ach_transfers, paywall_views = target.paywall_views, total_subscriptions = target.total_subscriptions, app_sessions = target.app_sessions, discover_tab_views = target.discover_tab_views, stripe_modal_views = target.stripe_modal_views, creator_card_taps = target.creator_card_taps, portfolio_card_taps = target.portfolio_card_taps, linked_bank_account = target.linked_bank_account, income = target.income, income_at = target.income_at, net_worth = target.net_worth, net_worth_at = target.net_worth_at, investing_activity = target.investing_activity, investing_activity_at = target.investing_activity_at, investing_experience_years = target.investing_experience_years, investing_experience_years_at = target.investing_experience_years_at, investing_objective = target.investing_objective, investing_objective_at = target.investing_objective_at, investment_type = target.investment_type, investment_type_at = target.investment_type_at, acquisition_survey = target.acquisition_survey, acquisition_survey_at = target.acquisition_survey_at, available_copy_credits = target.available_copy_credits, available_copy_credits_at = target.available_copy_credits_at, buying_power = target.buying_power, buying_power_at = target.buying_power_at, total_deposits = target.total_deposits, total_deposits_at = target.total_deposits_at, total_deposit_count = target.total_deposit_count, total_deposit_count_at = target.total_deposit_count_at, total_withdrawals = target.total_withdrawals, total_withdrawals_at = target.total_withdrawals_at, total_withdrawal_count = target.total_withdrawal_count, total_withdrawal_count_at = target.total_withdrawal_count_at, active_created_portfolios = target.active_created_portfolios, active_created_portfolios_at = target.active_created_portfolios_at, lifetime_created_portfolios = target.lifetime_created_portfolios, lifetime_created_portfolios_at = target.lifetime_created_portfolios_at, events_processed = target.events_processed, first_event_time = target.first_event_time, last_event_time = target.last_event_time, updated_at = now()
            where distinct_id = target.distinct_id;
            updated := updated + 1;
        else
            unchanged := unchanged + 1;
        end if;
    end loop;
    ignored_keys := unknown_profile_keys(profiles);
end
$$;

-- Moves a source's watermark forward, never back, adds to its count of events, and returns its row.
create function upsert_sync_watermark(
    p_source text, p_last_event_time timestamptz, p_events_count bigint, p_notes text default null
)
returns sync_watermarks
language plpgsql
as $$
declare
    answer sync_watermarks;
begin
    if coalesce(p_source, '') = '' then
        raise exception using errcode = 'invalid_parameter_value', message = 'p_source: expected the name of a source, got nothing';
    end if;
    if not isfinite(p_last_event_time) then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'p_last_event_time: expected a time such as 2025-11-13T01:00:00Z, got ' || p_last_event_time;
    end if;
    if p_events_count < 0 then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'p_events_count: expected a whole number, 0 or more, got ' || p_events_count;
    end if;
    insert into sync_watermarks as watermark (source, last_event_time, total_events_synced, last_synced_at, notes)
    values (p_source, p_last_event_time, coalesce(p_events_count, 0), clock_timestamp(), p_notes)
    on conflict (source) do update set
        last_event_time = greatest(watermark.last_event_time, excluded.last_event_time),
        total_events_synced = watermark.total_events_synced + excluded.total_events_synced,
        last_synced_at = excluded.last_synced_at,
        notes = excluded.notes
    returning * into answer;
    return answer;
end
$$;

comment on function upsert_subscribers_incremental(jsonb) is
    'REPLACE: makes subscribers what a JSON array of profiles says; keys that are missing, null or empty leave their column as it is. Unchanged rows are not written.';
comment on function upsert_subscribers_incremental_add(jsonb) is
    'ADD: adds the counts of a JSON array of profiles to subscribers; flags stay true, properties take the newest value, first and last event times widen.';
comment on function upsert_subscribers_incremental_loop(jsonb) is
    'upsert_subscribers_incremental by a loop: the same results, slower; for verification.';
comment on function upsert_subscribers_incremental_add_loop(jsonb) is
    'upsert_subscribers_incremental_add by a loop: the same results, slower; for verification.';
comment on function upsert_sync_watermark(text, timestamptz, bigint, text) is
    'Moves a source''s watermark forward, never back, and adds to its count of events.';

-- Who may call: service_role alone, with that role's own rights on the tables (security invoker). Each function finds
-- its tables in the schema that it is made in, whatever the caller's search_path says.
do $do$
declare
    api regprocedure;
    has_role boolean := exists (select from pg_roles where rolname = 'service_role');
begin
    if not has_role then
        begin
            create role service_role nologin;
            has_role := true;
        exception
            when duplicate_object or unique_violation then     -- another database's migration was faster
                has_role := true;
            when insufficient_privilege then
                raise notice 'service_role is missing and may not be created here: only % may call the SQL API. Have the role created, then run sql/subscribers/sql_api.sql.', current_user;
        end;
    end if;
    foreach api in array array[
        'refuse_profile(bigint, text, text, text)',
        'profile_count(bigint, text, text)',
        'profile_number(bigint, text, text)',
        'profile_time(bigint, text, text)',
        'unknown_profile_keys(jsonb)',
        'read_subscriber_profiles(jsonb)',
        'upsert_subscribers_incremental(jsonb)',
        'upsert_subscribers_incremental_add(jsonb)',
        'upsert_subscribers_incremental_loop(jsonb)',
        'upsert_subscribers_incremental_add_loop(jsonb)',
        'upsert_sync_watermark(text, timestamptz, bigint, text)'
    ]::regprocedure[] loop
        execute format('alter function %s set search_path = pg_catalog, %I, pg_temp', api, current_schema());
        execute format('revoke all on function %s from public', api);
        if has_role then
            execute format('grant execute on function %s to service_role', api);
        end if;
    end loop;
    if has_role then
        execute format('grant usage on schema %I to service_role', current_schema());
        grant select, insert, update on subscribers_insights_v2, sync_watermarks to service_role;
    end if;
end
$do$;
