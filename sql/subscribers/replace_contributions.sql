-- Made from sql/templates/subscribers/replace_contributions.sql.jinja by `make sql`; edit that.
-- REPLACE: makes the contributions what the lake says and returns how many rows that took. Needs a temporary table
-- lake_contributions with every day of the manifest, and the totals lock. Only rows that differ are written.
with differing as (
    select coalesce(stored.export_day, lake.export_day) as export_day,
        coalesce(stored.distinct_id, lake.distinct_id) as distinct_id,
        lake.distinct_id is not null as in_lake
    from subscriber_daily_contributions as stored
    full join lake_contributions as lake on lake.export_day = stored.export_day and lake.distinct_id = stored.distinct_id
    where stored is distinct from lake
),
removed as (
    delete from subscriber_daily_contributions as stored
    using differing
    where stored.export_day = differing.export_day and stored.distinct_id = differing.distinct_id and not differing.in_lake
    returning 1
),
written as (
    insert into subscriber_daily_contributions (export_day, distinct_id, total_copies, total_pdp_views, total_creator_profile_views, total_ach_transfers, paywall_views, total_subscriptions, app_sessions, discover_tab_views, stripe_modal_views, creator_card_taps, portfolio_card_taps, linked_bank_account, income, income_at, net_worth, net_worth_at, investing_activity, investing_activity_at, investing_experience_years, investing_experience_years_at, investing_objective, investing_objective_at, investment_type, investment_type_at, acquisition_survey, acquisition_survey_at, available_copy_credits, available_copy_credits_at, buying_power, buying_power_at, total_deposits, total_deposits_at, total_deposit_count, total_deposit_count_at, total_withdrawals, total_withdrawals_at, total_withdrawal_count, total_withdrawal_count_at, active_created_portfolios, active_created_portfolios_at, lifetime_created_portfolios, lifetime_created_portfolios_at, events_processed, first_event_time, last_event_time)
    select lake.export_day, lake.distinct_id, lake.total_copies, lake.total_pdp_views, lake.total_creator_profile_views, lake.total_ach_transfers, lake.paywall_views, lake.total_subscriptions, lake.app_sessions, lake.discover_tab_views, lake.stripe_modal_views, lake.creator_card_taps, lake.portfolio_card_taps, lake.linked_bank_account, lake.income, lake.income_at, lake.net_worth, lake.net_worth_at, lake.investing_activity, lake.investing_activity_at, lake.investing_experience_years, lake.investing_experience_years_at, lake.investing_objective, lake.investing_objective_at, lake.investment_type, lake.investment_type_at, lake.acquisition_survey, lake.acquisition_survey_at, lake.available_copy_credits, lake.available_copy_credits_at, lake.buying_power, lake.buying_power_at, lake.total_deposits, lake.total_deposits_at, lake.total_deposit_count, lake.total_deposit_count_at, lake.total_withdrawals, lake.total_withdrawals_at, lake.total_withdrawal_count, lake.total_withdrawal_count_at, lake.active_created_portfolios, lake.active_created_portfolios_at, lake.lifetime_created_portfolios, lake.lifetime_created_portfolios_at, lake.events_processed, lake.first_event_time, lake.last_event_time
    from lake_contributions as lake
    join differing on differing.export_day = lake.export_day and differing.distinct_id = lake.distinct_id
    on conflict (export_day, distinct_id) do update set
        total_copies = excluded.total_copies,
        total_pdp_views = excluded.total_pdp_views,
        total_creator_profile_views = excluded.total_creator_profile_views,
        total_ach_transfers = excluded.total_ach_transfers,
        paywall_views = excluded.paywall_views,
        total_subscriptions = excluded.total_subscriptions,
        app_sessions = excluded.app_sessions,
        discover_tab_views = excluded.discover_tab_views,
        stripe_modal_views = excluded.stripe_modal_views,
        creator_card_taps = excluded.creator_card_taps,
        portfolio_card_taps = excluded.portfolio_card_taps,
        linked_bank_account = excluded.linked_bank_account,
        income = excluded.income,
        income_at = excluded.income_at,
        net_worth = excluded.net_worth,
        net_worth_at = excluded.net_worth_at,
        investing_activity = excluded.investing_activity,
        investing_activity_at = excluded.investing_activity_at,
        investing_experience_years = excluded.investing_experience_years,
        investing_experience_years_at = excluded.investing_experience_years_at,
        investing_objective = excluded.investing_objective,
        investing_objective_at = excluded.investing_objective_at,
        investment_type = excluded.investment_type,
        investment_type_at = excluded.investment_type_at,
        acquisition_survey = excluded.acquisition_survey,
        acquisition_survey_at = excluded.acquisition_survey_at,
        available_copy_credits = excluded.available_copy_credits,
        available_copy_credits_at = excluded.available_copy_credits_at,
        buying_power = excluded.buying_power,
        buying_power_at = excluded.buying_power_at,
        total_deposits = excluded.total_deposits,
        total_deposits_at = excluded.total_deposits_at,
        total_deposit_count = excluded.total_deposit_count,
        total_deposit_count_at = excluded.total_deposit_count_at,
        total_withdrawals = excluded.total_withdrawals,
        total_withdrawals_at = excluded.total_withdrawals_at,
        total_withdrawal_count = excluded.total_withdrawal_count,
        total_withdrawal_count_at = excluded.total_withdrawal_count_at,
        active_created_portfolios = excluded.active_created_portfolios,
        active_created_portfolios_at = excluded.active_created_portfolios_at,
        lifetime_created_portfolios = excluded.lifetime_created_portfolios,
        lifetime_created_portfolios_at = excluded.lifetime_created_portfolios_at,
        events_processed = excluded.events_processed,
        first_event_time = excluded.first_event_time,
        last_event_time = excluded.last_event_time
    returning 1
)
select (select count(*) from removed) + (select count(*) from written)
