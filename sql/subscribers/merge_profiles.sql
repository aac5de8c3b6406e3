-- Made from sql/templates/subscribers/merge_profiles.sql.jinja by `make sql`; edit that.
-- REPLACE: what profiles add to the totals that the lake's events give. Needs a temporary table lake_totals.
update lake_totals as totals set
    income = case when profile.income is null or totals.income_at > profile.changed_at then totals.income else profile.income end,
    income_at = greatest(totals.income_at, case when profile.income is not null then profile.changed_at end),
    net_worth = case when profile.net_worth is null or totals.net_worth_at > profile.changed_at then totals.net_worth else profile.net_worth end,
    net_worth_at = greatest(totals.net_worth_at, case when profile.net_worth is not null then profile.changed_at end),
    investing_activity = case when profile.investing_activity is null or totals.investing_activity_at > profile.changed_at then totals.investing_activity else profile.investing_activity end,
    investing_activity_at = greatest(totals.investing_activity_at, case when profile.investing_activity is not null then profile.changed_at end),
    investing_experience_years = case when profile.investing_experience_years is null or totals.investing_experience_years_at > profile.changed_at then totals.investing_experience_years else profile.investing_experience_years end,
    investing_experience_years_at = greatest(totals.investing_experience_years_at, case when profile.investing_experience_years is not null then profile.changed_at end),
    investing_objective = case when profile.investing_objective is null or totals.investing_objective_at > profile.changed_at then totals.investing_objective else profile.investing_objective end,
    investing_objective_at = greatest(totals.investing_objective_at, case when profile.investing_objective is not null then profile.changed_at end),
    investment_type = case when profile.investment_type is null or totals.investment_type_at > profile.changed_at then totals.investment_type else profile.investment_type end,
    investment_type_at = greatest(totals.investment_type_at, case when profile.investment_type is not null then profile.changed_at end),
    acquisition_survey = case when profile.acquisition_survey is null or totals.acquisition_survey_at > profile.changed_at then totals.acquisition_survey else profile.acquisition_survey end,
    acquisition_survey_at = greatest(totals.acquisition_survey_at, case when profile.acquisition_survey is not null then profile.changed_at end),
    available_copy_credits = case when profile.available_copy_credits is null or totals.available_copy_credits_at > profile.changed_at then totals.available_copy_credits else profile.available_copy_credits end,
    available_copy_credits_at = greatest(totals.available_copy_credits_at, case when profile.available_copy_credits is not null then profile.changed_at end),
    buying_power = case when profile.buying_power is null or totals.buying_power_at > profile.changed_at then totals.buying_power else profile.buying_power end,
    buying_power_at = greatest(totals.buying_power_at, case when profile.buying_power is not null then profile.changed_at end),
    total_deposits = case when profile.total_deposits is null or totals.total_deposits_at > profile.changed_at then totals.total_deposits else profile.total_deposits end,
    total_deposits_at = greatest(totals.total_deposits_at, case when profile.total_deposits is not null then profile.changed_at end),
    total_deposit_count = case when profile.total_deposit_count is null or totals.total_deposit_count_at > profile.changed_at then totals.total_deposit_count else profile.total_deposit_count end,
    total_deposit_count_at = greatest(totals.total_deposit_count_at, case when profile.total_deposit_count is not null then profile.changed_at end),
    total_withdrawals = case when profile.total_withdrawals is null or totals.total_withdrawals_at > profile.changed_at then totals.total_withdrawals else profile.total_withdrawals end,
    total_withdrawals_at = greatest(totals.total_withdrawals_at, case when profile.total_withdrawals is not null then profile.changed_at end),
    total_withdrawal_count = case when profile.total_withdrawal_count is null or totals.total_withdrawal_count_at > profile.changed_at then totals.total_withdrawal_count else profile.total_withdrawal_count end,
    total_withdrawal_count_at = greatest(totals.total_withdrawal_count_at, case when profile.total_withdrawal_count is not null then profile.changed_at end),
    active_created_portfolios = case when profile.active_created_portfolios is null or totals.active_created_portfolios_at > profile.changed_at then totals.active_created_portfolios else profile.active_created_portfolios end,
    active_created_portfolios_at = greatest(totals.active_created_portfolios_at, case when profile.active_created_portfolios is not null then profile.changed_at end),
    lifetime_created_portfolios = case when profile.lifetime_created_portfolios is null or totals.lifetime_created_portfolios_at > profile.changed_at then totals.lifetime_created_portfolios else profile.lifetime_created_portfolios end,
    lifetime_created_portfolios_at = greatest(totals.lifetime_created_portfolios_at, case when profile.lifetime_created_portfolios is not null then profile.changed_at end)
from subscriber_profiles as profile
where profile.distinct_id = totals.distinct_id and profile.deleted_at is null;

insert into lake_totals (
    distinct_id, income, income_at, net_worth, net_worth_at, investing_activity, investing_activity_at, investing_experience_years, investing_experience_years_at, investing_objective, investing_objective_at, investment_type, investment_type_at, acquisition_survey, acquisition_survey_at, available_copy_credits, available_copy_credits_at, buying_power, buying_power_at, total_deposits, total_deposits_at, total_deposit_count, total_deposit_count_at, total_withdrawals, total_withdrawals_at, total_withdrawal_count, total_withdrawal_count_at, active_created_portfolios, active_created_portfolios_at, lifetime_created_portfolios, lifetime_created_portfolios_at
)
select profile.distinct_id,
    profile.income, case when profile.income is not null then profile.changed_at end,
    profile.net_worth, case when profile.net_worth is not null then profile.changed_at end,
    profile.investing_activity, case when profile.investing_activity is not null then profile.changed_at end,
    profile.investing_experience_years, case when profile.investing_experience_years is not null then profile.changed_at end,
    profile.investing_objective, case when profile.investing_objective is not null then profile.changed_at end,
    profile.investment_type, case when profile.investment_type is not null then profile.changed_at end,
    profile.acquisition_survey, case when profile.acquisition_survey is not null then profile.changed_at end,
    profile.available_copy_credits, case when profile.available_copy_credits is not null then profile.changed_at end,
    profile.buying_power, case when profile.buying_power is not null then profile.changed_at end,
    profile.total_deposits, case when profile.total_deposits is not null then profile.changed_at end,
    profile.total_deposit_count, case when profile.total_deposit_count is not null then profile.changed_at end,
    profile.total_withdrawals, case when profile.total_withdrawals is not null then profile.changed_at end,
    profile.total_withdrawal_count, case when profile.total_withdrawal_count is not null then profile.changed_at end,
    profile.active_created_portfolios, case when profile.active_created_portfolios is not null then profile.changed_at end,
    profile.lifetime_created_portfolios, case when profile.lifetime_created_portfolios is not null then profile.changed_at end
from subscriber_profiles as profile
where profile.deleted_at is null
    and not exists (select from lake_totals as totals where totals.distinct_id = profile.distinct_id);
