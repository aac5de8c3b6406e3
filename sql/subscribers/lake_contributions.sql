-- Made from sql/templates/subscribers/lake_contributions.sql.jinja by `make sql`; edit that.
-- DuckDB: what each day's partition adds per person. View partition_events: the partitions' rows, each of which
-- knows its export_day.
-- A property's value is the newest by (time, processing time, insert id). Events alike in all of that are told apart by
-- their content's hash, so that every run decides alike; one comparable key a row costs half of comparing structs.
with tracked as (
    select * exclude properties,
        create_sort_key(
            time, 'ASC NULLS FIRST', mp_processing_time_ms, 'ASC NULLS FIRST', insert_id, 'ASC NULLS FIRST', row_hash, 'ASC NULLS FIRST'
        ) as version
    from partition_events
    where subscriber_id is not null
        and event in ('DubAutoCopyInitiated', 'Viewed Portfolio Details', 'Viewed Creator Profile', 'AchTransferInitiated', 'Viewed Creator Paywall', 'SubscriptionCreated', '$ae_session', 'Viewed Discover Tab', 'Viewed Stripe Modal', 'Tapped Creator Card', 'Tapped Portfolio Card', 'BankAccountLinked')
)
select
    export_day,
    subscriber_id as distinct_id,
    count(*) filter (where event = 'DubAutoCopyInitiated') as total_copies,
    count(*) filter (where event = 'Viewed Portfolio Details') as total_pdp_views,
    count(*) filter (where event = 'Viewed Creator Profile') as total_creator_profile_views,
    count(*) filter (where event = 'AchTransferInitiated') as total_ach_transfers,
    count(*) filter (where event = 'Viewed Creator Paywall') as paywall_views,
    count(*) filter (where event = 'SubscriptionCreated') as total_subscriptions,
    count(*) filter (where event = '$ae_session') as app_sessions,
    count(*) filter (where event = 'Viewed Discover Tab') as discover_tab_views,
    count(*) filter (where event = 'Viewed Stripe Modal') as stripe_modal_views,
    count(*) filter (where event = 'Tapped Creator Card') as creator_card_taps,
    count(*) filter (where event = 'Tapped Portfolio Card') as portfolio_card_taps,
    bool_or(event = 'BankAccountLinked') as linked_bank_account,
    replace(arg_max(income, version) filter (where income is not null), chr(0), chr(65533)) as income,
    max(time) filter (where income is not null) as income_at,
    replace(arg_max(net_worth, version) filter (where net_worth is not null), chr(0), chr(65533)) as net_worth,
    max(time) filter (where net_worth is not null) as net_worth_at,
    replace(arg_max(investing_activity, version) filter (where investing_activity is not null), chr(0), chr(65533)) as investing_activity,
    max(time) filter (where investing_activity is not null) as investing_activity_at,
    replace(arg_max(investing_experience_years, version) filter (where investing_experience_years is not null), chr(0), chr(65533)) as investing_experience_years,
    max(time) filter (where investing_experience_years is not null) as investing_experience_years_at,
    replace(arg_max(investing_objective, version) filter (where investing_objective is not null), chr(0), chr(65533)) as investing_objective,
    max(time) filter (where investing_objective is not null) as investing_objective_at,
    replace(arg_max(investment_type, version) filter (where investment_type is not null), chr(0), chr(65533)) as investment_type,
    max(time) filter (where investment_type is not null) as investment_type_at,
    replace(arg_max(acquisition_survey, version) filter (where acquisition_survey is not null), chr(0), chr(65533)) as acquisition_survey,
    max(time) filter (where acquisition_survey is not null) as acquisition_survey_at,
    arg_max(available_copy_credits, version) filter (where available_copy_credits is not null) as available_copy_credits,
    max(time) filter (where available_copy_credits is not null) as available_copy_credits_at,
    arg_max(buying_power, version) filter (where buying_power is not null) as buying_power,
    max(time) filter (where buying_power is not null) as buying_power_at,
    arg_max(total_deposits, version) filter (where total_deposits is not null) as total_deposits,
    max(time) filter (where total_deposits is not null) as total_deposits_at,
    arg_max(total_deposit_count, version) filter (where total_deposit_count is not null) as total_deposit_count,
    max(time) filter (where total_deposit_count is not null) as total_deposit_count_at,
    arg_max(total_withdrawals, version) filter (where total_withdrawals is not null) as total_withdrawals,
    max(time) filter (where total_withdrawals is not null) as total_withdrawals_at,
    arg_max(total_withdrawal_count, version) filter (where total_withdrawal_count is not null) as total_withdrawal_count,
    max(time) filter (where total_withdrawal_count is not null) as total_withdrawal_count_at,
    arg_max(active_created_portfolios, version) filter (where active_created_portfolios is not null) as active_created_portfolios,
    max(time) filter (where active_created_portfolios is not null) as active_created_portfolios_at,
    arg_max(lifetime_created_portfolios, version) filter (where lifetime_created_portfolios is not null) as lifetime_created_portfolios,
    max(time) filter (where lifetime_created_portfolios is not null) as lifetime_created_portfolios_at,
    count(*) as events_processed,
    min(time) as first_event_time,
    max(time) as last_event_time

from tracked
group by export_day, subscriber_id
order by export_day, subscriber_id
