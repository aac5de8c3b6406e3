-- Made from sql/templates/subscribers/totals_that_differ.sql.jinja by `make sql`; edit that.
-- One row for every person and column in which the totals and REPLACE differ. Needs a temporary table lake_totals.
select
    coalesce(stored.distinct_id, lake.distinct_id) as distinct_id,
    difference.column_name,
    difference.stored_value,
    difference.replace_value
from subscribers_insights_v2 as stored
full join lake_totals as lake on lake.distinct_id = stored.distinct_id
cross join lateral (values
    ('distinct_id', stored.distinct_id::text, lake.distinct_id::text, stored.distinct_id is distinct from lake.distinct_id),
    ('total_copies', stored.total_copies::text, lake.total_copies::text, stored.total_copies is distinct from lake.total_copies),
    ('total_pdp_views', stored.total_pdp_views::text, lake.total_pdp_views::text, stored.total_pdp_views is distinct from lake.total_pdp_views),
    ('total_creator_profile_views', stored.total_creator_profile_views::text, lake.total_creator_profile_views::text, stored.total_creator_profile_views is distinct from lake.total_creator_profile_views),
    ('total_ach_transfers', stored.total_ach_transfers::text, lake.total_ach_transfers::text, stored.total_ach_transfers is distinct from lake.total_ach_transfers),
    ('paywall_views', stored.paywall_views::text, lake.paywall_views::text, stored.paywall_views is distinct from lake.paywall_views),
    ('total_subscriptions', stored.total_subscriptions::text, lake.total_subscriptions::text, stored.total_subscriptions is distinct from lake.total_subscriptions),
    ('app_sessions', stored.app_sessions::text, lake.app_sessions::text, stored.app_sessions is distinct from lake.app_sessions),
    ('discover_tab_views', stored.discover_tab_views::text, lake.discover_tab_views::text, stored.discover_tab_views is distinct from lake.discover_tab_views),
    ('stripe_modal_views', stored.stripe_modal_views::text, lake.stripe_modal_views::text, stored.stripe_modal_views is distinct from lake.stripe_modal_views),
    ('creator_card_taps', stored.creator_card_taps::text, lake.creator_card_taps::text, stored.creator_card_taps is distinct from lake.creator_card_taps),
    ('portfolio_card_taps', stored.portfolio_card_taps::text, lake.portfolio_card_taps::text, stored.portfolio_card_taps is distinct from lake.portfolio_card_taps),
    ('linked_bank_account', stored.linked_bank_account::text, lake.linked_bank_account::text, stored.linked_bank_account is distinct from lake.linked_bank_account),
    ('income', stored.income::text, lake.income::text, stored.income is distinct from lake.income),
    ('income_at', stored.income_at::text, lake.income_at::text, stored.income_at is distinct from lake.income_at),
    ('net_worth', stored.net_worth::text, lake.net_worth::text, stored.net_worth is distinct from lake.net_worth),
    ('net_worth_at', stored.net_worth_at::text, lake.net_worth_at::text, stored.net_worth_at is distinct from lake.net_worth_at),
    ('investing_activity', stored.investing_activity::text, lake.investing_activity::text, stored.investing_activity is distinct from lake.investing_activity),
    ('investing_activity_at', stored.investing_activity_at::text, lake.investing_activity_at::text, stored.investing_activity_at is distinct from lake.investing_activity_at),
    ('investing_experience_years', stored.investing_experience_years::text, lake.investing_experience_years::text, stored.investing_experience_years is distinct from lake.investing_experience_years),
    ('investing_experience_years_at', stored.investing_experience_years_at::text, lake.investing_experience_years_at::text, stored.investing_experience_years_at is distinct from lake.investing_experience_years_at),
    ('investing_objective', stored.investing_objective::text, lake.investing_objective::text, stored.investing_objective is distinct from lake.investing_objective),
    ('investing_objective_at', stored.investing_objective_at::text, lake.investing_objective_at::text, stored.investing_objective_at is distinct from lake.investing_objective_at),
    ('investment_type', stored.investment_type::text, lake.investment_type::text, stored.investment_type is distinct from lake.investment_type),
    ('investment_type_at', stored.investment_type_at::text, lake.investment_type_at::text, stored.investment_type_at is distinct from lake.investment_type_at),
    ('acquisition_survey', stored.acquisition_survey::text, lake.acquisition_survey::text, stored.acquisition_survey is distinct from lake.acquisition_survey),
    ('acquisition_survey_at', stored.acquisition_survey_at::text, lake.acquisition_survey_at::text, stored.acquisition_survey_at is distinct from lake.acquisition_survey_at),
    ('available_copy_credits', stored.available_copy_credits::text, lake.available_copy_credits::text, stored.available_copy_credits is distinct from lake.available_copy_credits),
    ('available_copy_credits_at', stored.available_copy_credits_at::text, lake.available_copy_credits_at::text, stored.available_copy_credits_at is distinct from lake.available_copy_credits_at),
    ('buying_power', stored.buying_power::text, lake.buying_power::text, stored.buying_power is distinct from lake.buying_power),
    ('buying_power_at', stored.buying_power_at::text, lake.buying_power_at::text, stored.buying_power_at is distinct from lake.buying_power_at),
    ('total_deposits', stored.total_deposits::text, lake.total_deposits::text, stored.total_deposits is distinct from lake.total_deposits),
    ('total_deposits_at', stored.total_deposits_at::text, lake.total_deposits_at::text, stored.total_deposits_at is distinct from lake.total_deposits_at),
    ('total_deposit_count', stored.total_deposit_count::text, lake.total_deposit_count::text, stored.total_deposit_count is distinct from lake.total_deposit_count),
    ('total_deposit_count_at', stored.total_deposit_count_at::text, lake.total_deposit_count_at::text, stored.total_deposit_count_at is distinct from lake.total_deposit_count_at),
    ('total_withdrawals', stored.total_withdrawals::text, lake.total_withdrawals::text, stored.total_withdrawals is distinct from lake.total_withdrawals),
    ('total_withdrawals_at', stored.total_withdrawals_at::text, lake.total_withdrawals_at::text, stored.total_withdrawals_at is distinct from lake.total_withdrawals_at),
    ('total_withdrawal_count', stored.total_withdrawal_count::text, lake.total_withdrawal_count::text, stored.total_withdrawal_count is distinct from lake.total_withdrawal_count),
    ('total_withdrawal_count_at', stored.total_withdrawal_count_at::text, lake.total_withdrawal_count_at::text, stored.total_withdrawal_count_at is distinct from lake.total_withdrawal_count_at),
    ('active_created_portfolios', stored.active_created_portfolios::text, lake.active_created_portfolios::text, stored.active_created_portfolios is distinct from lake.active_created_portfolios),
    ('active_created_portfolios_at', stored.active_created_portfolios_at::text, lake.active_created_portfolios_at::text, stored.active_created_portfolios_at is distinct from lake.active_created_portfolios_at),
    ('lifetime_created_portfolios', stored.lifetime_created_portfolios::text, lake.lifetime_created_portfolios::text, stored.lifetime_created_portfolios is distinct from lake.lifetime_created_portfolios),
    ('lifetime_created_portfolios_at', stored.lifetime_created_portfolios_at::text, lake.lifetime_created_portfolios_at::text, stored.lifetime_created_portfolios_at is distinct from lake.lifetime_created_portfolios_at),
    ('events_processed', stored.events_processed::text, lake.events_processed::text, stored.events_processed is distinct from lake.events_processed),
    ('first_event_time', stored.first_event_time::text, lake.first_event_time::text, stored.first_event_time is distinct from lake.first_event_time),
    ('last_event_time', stored.last_event_time::text, lake.last_event_time::text, stored.last_event_time is distinct from lake.last_event_time)
) as difference (column_name, stored_value, replace_value, differs)
where difference.differs
-- Of a person who should not be there, or is missing, that comes first.
order by 1, difference.column_name <> 'distinct_id', 2
