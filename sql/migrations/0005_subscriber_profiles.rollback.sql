-- Totals go back to what events alone say: values that only a profile had are taken out, and people who have nothing but
-- a profile are gone.
update subscribers_insights_v2 as totals
set
    income = again.income,
    income_at = again.income_at,
    net_worth = again.net_worth,
    net_worth_at = again.net_worth_at,
    investing_activity = again.investing_activity,
    investing_activity_at = again.investing_activity_at,
    investing_experience_years = again.investing_experience_years,
    investing_experience_years_at = again.investing_experience_years_at,
    investing_objective = again.investing_objective,
    investing_objective_at = again.investing_objective_at,
    investment_type = again.investment_type,
    investment_type_at = again.investment_type_at,
    acquisition_survey = again.acquisition_survey,
    acquisition_survey_at = again.acquisition_survey_at,
    available_copy_credits = again.available_copy_credits,
    available_copy_credits_at = again.available_copy_credits_at,
    buying_power = again.buying_power,
    buying_power_at = again.buying_power_at,
    total_deposits = again.total_deposits,
    total_deposits_at = again.total_deposits_at,
    total_deposit_count = again.total_deposit_count,
    total_deposit_count_at = again.total_deposit_count_at,
    total_withdrawals = again.total_withdrawals,
    total_withdrawals_at = again.total_withdrawals_at,
    total_withdrawal_count = again.total_withdrawal_count,
    total_withdrawal_count_at = again.total_withdrawal_count_at,
    active_created_portfolios = again.active_created_portfolios,
    active_created_portfolios_at = again.active_created_portfolios_at,
    lifetime_created_portfolios = again.lifetime_created_portfolios,
    lifetime_created_portfolios_at = again.lifetime_created_portfolios_at
from (
    select
        profile.distinct_id,
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
where totals.distinct_id = again.distinct_id;

delete from subscribers_insights_v2 as totals
where exists (select from subscriber_profiles as profile where profile.distinct_id = totals.distinct_id)
    and not exists (
        select from subscriber_daily_contributions as stored where stored.distinct_id = totals.distinct_id
    );

drop table profile_snapshots;
drop table subscriber_profile_changes;
drop table subscriber_profiles;
delete from sync_logs where source = 'mixpanel_user_profiles';
