-- Made from sql/templates/subscribers/add_profiles.sql.jinja by `make sql`; edit that.
-- Brings changed profiles into the totals (spec section 5): a property's value is the newest non-null of contributions
-- and profile. Run after write_profiles.sql, under the totals lock. Only rows that differ are written.
insert into subscribers_insights_v2 as totals (
    distinct_id, income, income_at, net_worth, net_worth_at, investing_activity, investing_activity_at, investing_experience_years, investing_experience_years_at, investing_objective, investing_objective_at, investment_type, investment_type_at, acquisition_survey, acquisition_survey_at, available_copy_credits, available_copy_credits_at, buying_power, buying_power_at, total_deposits, total_deposits_at, total_deposit_count, total_deposit_count_at, total_withdrawals, total_withdrawals_at, total_withdrawal_count, total_withdrawal_count_at, active_created_portfolios, active_created_portfolios_at, lifetime_created_portfolios, lifetime_created_portfolios_at, updated_at
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
    profile.lifetime_created_portfolios, case when profile.lifetime_created_portfolios is not null then profile.changed_at end,
    clock_timestamp()
from changed_profiles as changed
join subscriber_profiles as profile on profile.distinct_id = changed.distinct_id and profile.deleted_at is null
where not changed.took_back
order by profile.distinct_id
on conflict (distinct_id) do update set
    income = case when excluded.income is null or totals.income_at > excluded.income_at then totals.income else excluded.income end,
    income_at = greatest(totals.income_at, excluded.income_at),
    net_worth = case when excluded.net_worth is null or totals.net_worth_at > excluded.net_worth_at then totals.net_worth else excluded.net_worth end,
    net_worth_at = greatest(totals.net_worth_at, excluded.net_worth_at),
    investing_activity = case when excluded.investing_activity is null or totals.investing_activity_at > excluded.investing_activity_at then totals.investing_activity else excluded.investing_activity end,
    investing_activity_at = greatest(totals.investing_activity_at, excluded.investing_activity_at),
    investing_experience_years = case when excluded.investing_experience_years is null or totals.investing_experience_years_at > excluded.investing_experience_years_at then totals.investing_experience_years else excluded.investing_experience_years end,
    investing_experience_years_at = greatest(totals.investing_experience_years_at, excluded.investing_experience_years_at),
    investing_objective = case when excluded.investing_objective is null or totals.investing_objective_at > excluded.investing_objective_at then totals.investing_objective else excluded.investing_objective end,
    investing_objective_at = greatest(totals.investing_objective_at, excluded.investing_objective_at),
    investment_type = case when excluded.investment_type is null or totals.investment_type_at > excluded.investment_type_at then totals.investment_type else excluded.investment_type end,
    investment_type_at = greatest(totals.investment_type_at, excluded.investment_type_at),
    acquisition_survey = case when excluded.acquisition_survey is null or totals.acquisition_survey_at > excluded.acquisition_survey_at then totals.acquisition_survey else excluded.acquisition_survey end,
    acquisition_survey_at = greatest(totals.acquisition_survey_at, excluded.acquisition_survey_at),
    available_copy_credits = case when excluded.available_copy_credits is null or totals.available_copy_credits_at > excluded.available_copy_credits_at then totals.available_copy_credits else excluded.available_copy_credits end,
    available_copy_credits_at = greatest(totals.available_copy_credits_at, excluded.available_copy_credits_at),
    buying_power = case when excluded.buying_power is null or totals.buying_power_at > excluded.buying_power_at then totals.buying_power else excluded.buying_power end,
    buying_power_at = greatest(totals.buying_power_at, excluded.buying_power_at),
    total_deposits = case when excluded.total_deposits is null or totals.total_deposits_at > excluded.total_deposits_at then totals.total_deposits else excluded.total_deposits end,
    total_deposits_at = greatest(totals.total_deposits_at, excluded.total_deposits_at),
    total_deposit_count = case when excluded.total_deposit_count is null or totals.total_deposit_count_at > excluded.total_deposit_count_at then totals.total_deposit_count else excluded.total_deposit_count end,
    total_deposit_count_at = greatest(totals.total_deposit_count_at, excluded.total_deposit_count_at),
    total_withdrawals = case when excluded.total_withdrawals is null or totals.total_withdrawals_at > excluded.total_withdrawals_at then totals.total_withdrawals else excluded.total_withdrawals end,
    total_withdrawals_at = greatest(totals.total_withdrawals_at, excluded.total_withdrawals_at),
    total_withdrawal_count = case when excluded.total_withdrawal_count is null or totals.total_withdrawal_count_at > excluded.total_withdrawal_count_at then totals.total_withdrawal_count else excluded.total_withdrawal_count end,
    total_withdrawal_count_at = greatest(totals.total_withdrawal_count_at, excluded.total_withdrawal_count_at),
    active_created_portfolios = case when excluded.active_created_portfolios is null or totals.active_created_portfolios_at > excluded.active_created_portfolios_at then totals.active_created_portfolios else excluded.active_created_portfolios end,
    active_created_portfolios_at = greatest(totals.active_created_portfolios_at, excluded.active_created_portfolios_at),
    lifetime_created_portfolios = case when excluded.lifetime_created_portfolios is null or totals.lifetime_created_portfolios_at > excluded.lifetime_created_portfolios_at then totals.lifetime_created_portfolios else excluded.lifetime_created_portfolios end,
    lifetime_created_portfolios_at = greatest(totals.lifetime_created_portfolios_at, excluded.lifetime_created_portfolios_at),
    updated_at = excluded.updated_at
where
    (excluded.income is not null and (totals.income_at is null or totals.income_at < excluded.income_at
        or (totals.income_at = excluded.income_at and totals.income is distinct from excluded.income)))
    or (excluded.net_worth is not null and (totals.net_worth_at is null or totals.net_worth_at < excluded.net_worth_at
        or (totals.net_worth_at = excluded.net_worth_at and totals.net_worth is distinct from excluded.net_worth)))
    or (excluded.investing_activity is not null and (totals.investing_activity_at is null or totals.investing_activity_at < excluded.investing_activity_at
        or (totals.investing_activity_at = excluded.investing_activity_at and totals.investing_activity is distinct from excluded.investing_activity)))
    or (excluded.investing_experience_years is not null and (totals.investing_experience_years_at is null or totals.investing_experience_years_at < excluded.investing_experience_years_at
        or (totals.investing_experience_years_at = excluded.investing_experience_years_at and totals.investing_experience_years is distinct from excluded.investing_experience_years)))
    or (excluded.investing_objective is not null and (totals.investing_objective_at is null or totals.investing_objective_at < excluded.investing_objective_at
        or (totals.investing_objective_at = excluded.investing_objective_at and totals.investing_objective is distinct from excluded.investing_objective)))
    or (excluded.investment_type is not null and (totals.investment_type_at is null or totals.investment_type_at < excluded.investment_type_at
        or (totals.investment_type_at = excluded.investment_type_at and totals.investment_type is distinct from excluded.investment_type)))
    or (excluded.acquisition_survey is not null and (totals.acquisition_survey_at is null or totals.acquisition_survey_at < excluded.acquisition_survey_at
        or (totals.acquisition_survey_at = excluded.acquisition_survey_at and totals.acquisition_survey is distinct from excluded.acquisition_survey)))
    or (excluded.available_copy_credits is not null and (totals.available_copy_credits_at is null or totals.available_copy_credits_at < excluded.available_copy_credits_at
        or (totals.available_copy_credits_at = excluded.available_copy_credits_at and totals.available_copy_credits is distinct from excluded.available_copy_credits)))
    or (excluded.buying_power is not null and (totals.buying_power_at is null or totals.buying_power_at < excluded.buying_power_at
        or (totals.buying_power_at = excluded.buying_power_at and totals.buying_power is distinct from excluded.buying_power)))
    or (excluded.total_deposits is not null and (totals.total_deposits_at is null or totals.total_deposits_at < excluded.total_deposits_at
        or (totals.total_deposits_at = excluded.total_deposits_at and totals.total_deposits is distinct from excluded.total_deposits)))
    or (excluded.total_deposit_count is not null and (totals.total_deposit_count_at is null or totals.total_deposit_count_at < excluded.total_deposit_count_at
        or (totals.total_deposit_count_at = excluded.total_deposit_count_at and totals.total_deposit_count is distinct from excluded.total_deposit_count)))
    or (excluded.total_withdrawals is not null and (totals.total_withdrawals_at is null or totals.total_withdrawals_at < excluded.total_withdrawals_at
        or (totals.total_withdrawals_at = excluded.total_withdrawals_at and totals.total_withdrawals is distinct from excluded.total_withdrawals)))
    or (excluded.total_withdrawal_count is not null and (totals.total_withdrawal_count_at is null or totals.total_withdrawal_count_at < excluded.total_withdrawal_count_at
        or (totals.total_withdrawal_count_at = excluded.total_withdrawal_count_at and totals.total_withdrawal_count is distinct from excluded.total_withdrawal_count)))
    or (excluded.active_created_portfolios is not null and (totals.active_created_portfolios_at is null or totals.active_created_portfolios_at < excluded.active_created_portfolios_at
        or (totals.active_created_portfolios_at = excluded.active_created_portfolios_at and totals.active_created_portfolios is distinct from excluded.active_created_portfolios)))
    or (excluded.lifetime_created_portfolios is not null and (totals.lifetime_created_portfolios_at is null or totals.lifetime_created_portfolios_at < excluded.lifetime_created_portfolios_at
        or (totals.lifetime_created_portfolios_at = excluded.lifetime_created_portfolios_at and totals.lifetime_created_portfolios is distinct from excluded.lifetime_created_portfolios)));

insert into subscribers_insights_v2 (distinct_id)
select profile.distinct_id
from changed_profiles as changed
join subscriber_profiles as profile on profile.distinct_id = changed.distinct_id and profile.deleted_at is null
where changed.took_back
order by profile.distinct_id
on conflict (distinct_id) do nothing;

-- A person whose profile is gone, and for whom no event counts, is gone.
delete from subscribers_insights_v2 as totals
using changed_profiles as changed
where totals.distinct_id = changed.distinct_id and changed.change = 'deleted' and totals.events_processed = 0
    and not exists (
        select from subscriber_daily_contributions as stored where stored.distinct_id = totals.distinct_id
    );

-- Where a profile no longer says a value, the newest of what is left is computed again.
update subscribers_insights_v2 as totals
set
    linked_bank_account = again.linked_bank_account,
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
    lifetime_created_portfolios_at = again.lifetime_created_portfolios_at,
    first_event_time = again.first_event_time,
    last_event_time = again.last_event_time,
    updated_at = clock_timestamp()
from (
    select
        person.distinct_id,
        coalesce(bool_or(stored.linked_bank_account), false) as linked_bank_account,
        case when profile.income is null or max(stored.income_at) > profile.changed_at
            then (array_agg(stored.income order by stored.income_at desc, stored.export_day desc)
                filter (where stored.income_at is not null))[1]
            else profile.income end as income,
        greatest(max(stored.income_at), case when profile.income is not null then profile.changed_at end) as income_at,
        case when profile.net_worth is null or max(stored.net_worth_at) > profile.changed_at
            then (array_agg(stored.net_worth order by stored.net_worth_at desc, stored.export_day desc)
                filter (where stored.net_worth_at is not null))[1]
            else profile.net_worth end as net_worth,
        greatest(max(stored.net_worth_at), case when profile.net_worth is not null then profile.changed_at end) as net_worth_at,
        case when profile.investing_activity is null or max(stored.investing_activity_at) > profile.changed_at
            then (array_agg(stored.investing_activity order by stored.investing_activity_at desc, stored.export_day desc)
                filter (where stored.investing_activity_at is not null))[1]
            else profile.investing_activity end as investing_activity,
        greatest(max(stored.investing_activity_at), case when profile.investing_activity is not null then profile.changed_at end) as investing_activity_at,
        case when profile.investing_experience_years is null or max(stored.investing_experience_years_at) > profile.changed_at
            then (array_agg(stored.investing_experience_years order by stored.investing_experience_years_at desc, stored.export_day desc)
                filter (where stored.investing_experience_years_at is not null))[1]
            else profile.investing_experience_years end as investing_experience_years,
        greatest(max(stored.investing_experience_years_at), case when profile.investing_experience_years is not null then profile.changed_at end) as investing_experience_years_at,
        case when profile.investing_objective is null or max(stored.investing_objective_at) > profile.changed_at
            then (array_agg(stored.investing_objective order by stored.investing_objective_at desc, stored.export_day desc)
                filter (where stored.investing_objective_at is not null))[1]
            else profile.investing_objective end as investing_objective,
        greatest(max(stored.investing_objective_at), case when profile.investing_objective is not null then profile.changed_at end) as investing_objective_at,
        case when profile.investment_type is null or max(stored.investment_type_at) > profile.changed_at
            then (array_agg(stored.investment_type order by stored.investment_type_at desc, stored.export_day desc)
                filter (where stored.investment_type_at is not null))[1]
            else profile.investment_type end as investment_type,
        greatest(max(stored.investment_type_at), case when profile.investment_type is not null then profile.changed_at end) as investment_type_at,
        case when profile.acquisition_survey is null or max(stored.acquisition_survey_at) > profile.changed_at
            then (array_agg(stored.acquisition_survey order by stored.acquisition_survey_at desc, stored.export_day desc)
                filter (where stored.acquisition_survey_at is not null))[1]
            else profile.acquisition_survey end as acquisition_survey,
        greatest(max(stored.acquisition_survey_at), case when profile.acquisition_survey is not null then profile.changed_at end) as acquisition_survey_at,
        case when profile.available_copy_credits is null or max(stored.available_copy_credits_at) > profile.changed_at
            then (array_agg(stored.available_copy_credits order by stored.available_copy_credits_at desc, stored.export_day desc)
                filter (where stored.available_copy_credits_at is not null))[1]
            else profile.available_copy_credits end as available_copy_credits,
        greatest(max(stored.available_copy_credits_at), case when profile.available_copy_credits is not null then profile.changed_at end) as available_copy_credits_at,
        case when profile.buying_power is null or max(stored.buying_power_at) > profile.changed_at
            then (array_agg(stored.buying_power order by stored.buying_power_at desc, stored.export_day desc)
                filter (where stored.buying_power_at is not null))[1]
            else profile.buying_power end as buying_power,
        greatest(max(stored.buying_power_at), case when profile.buying_power is not null then profile.changed_at end) as buying_power_at,
        case when profile.total_deposits is null or max(stored.total_deposits_at) > profile.changed_at
            then (array_agg(stored.total_deposits order by stored.total_deposits_at desc, stored.export_day desc)
                filter (where stored.total_deposits_at is not null))[1]
            else profile.total_deposits end as total_deposits,
        greatest(max(stored.total_deposits_at), case when profile.total_deposits is not null then profile.changed_at end) as total_deposits_at,
        case when profile.total_deposit_count is null or max(stored.total_deposit_count_at) > profile.changed_at
            then (array_agg(stored.total_deposit_count order by stored.total_deposit_count_at desc, stored.export_day desc)
                filter (where stored.total_deposit_count_at is not null))[1]
            else profile.total_deposit_count end as total_deposit_count,
        greatest(max(stored.total_deposit_count_at), case when profile.total_deposit_count is not null then profile.changed_at end) as total_deposit_count_at,
        case when profile.total_withdrawals is null or max(stored.total_withdrawals_at) > profile.changed_at
            then (array_agg(stored.total_withdrawals order by stored.total_withdrawals_at desc, stored.export_day desc)
                filter (where stored.total_withdrawals_at is not null))[1]
            else profile.total_withdrawals end as total_withdrawals,
        greatest(max(stored.total_withdrawals_at), case when profile.total_withdrawals is not null then profile.changed_at end) as total_withdrawals_at,
        case when profile.total_withdrawal_count is null or max(stored.total_withdrawal_count_at) > profile.changed_at
            then (array_agg(stored.total_withdrawal_count order by stored.total_withdrawal_count_at desc, stored.export_day desc)
                filter (where stored.total_withdrawal_count_at is not null))[1]
            else profile.total_withdrawal_count end as total_withdrawal_count,
        greatest(max(stored.total_withdrawal_count_at), case when profile.total_withdrawal_count is not null then profile.changed_at end) as total_withdrawal_count_at,
        case when profile.active_created_portfolios is null or max(stored.active_created_portfolios_at) > profile.changed_at
            then (array_agg(stored.active_created_portfolios order by stored.active_created_portfolios_at desc, stored.export_day desc)
                filter (where stored.active_created_portfolios_at is not null))[1]
            else profile.active_created_portfolios end as active_created_portfolios,
        greatest(max(stored.active_created_portfolios_at), case when profile.active_created_portfolios is not null then profile.changed_at end) as active_created_portfolios_at,
        case when profile.lifetime_created_portfolios is null or max(stored.lifetime_created_portfolios_at) > profile.changed_at
            then (array_agg(stored.lifetime_created_portfolios order by stored.lifetime_created_portfolios_at desc, stored.export_day desc)
                filter (where stored.lifetime_created_portfolios_at is not null))[1]
            else profile.lifetime_created_portfolios end as lifetime_created_portfolios,
        greatest(max(stored.lifetime_created_portfolios_at), case when profile.lifetime_created_portfolios is not null then profile.changed_at end) as lifetime_created_portfolios_at,
        min(stored.first_event_time) as first_event_time,
        max(stored.last_event_time) as last_event_time
    from changed_profiles as person
    left join subscriber_daily_contributions as stored on stored.distinct_id = person.distinct_id
    left join subscriber_profiles as profile on profile.distinct_id = person.distinct_id and profile.deleted_at is null
    where person.took_back
    group by person.distinct_id, profile.distinct_id
) as again
where totals.distinct_id = again.distinct_id and (
    totals.linked_bank_account,
    totals.income, totals.income_at,
    totals.net_worth, totals.net_worth_at,
    totals.investing_activity, totals.investing_activity_at,
    totals.investing_experience_years, totals.investing_experience_years_at,
    totals.investing_objective, totals.investing_objective_at,
    totals.investment_type, totals.investment_type_at,
    totals.acquisition_survey, totals.acquisition_survey_at,
    totals.available_copy_credits, totals.available_copy_credits_at,
    totals.buying_power, totals.buying_power_at,
    totals.total_deposits, totals.total_deposits_at,
    totals.total_deposit_count, totals.total_deposit_count_at,
    totals.total_withdrawals, totals.total_withdrawals_at,
    totals.total_withdrawal_count, totals.total_withdrawal_count_at,
    totals.active_created_portfolios, totals.active_created_portfolios_at,
    totals.lifetime_created_portfolios, totals.lifetime_created_portfolios_at,
    totals.first_event_time, totals.last_event_time
) is distinct from (
    again.linked_bank_account,
    again.income, again.income_at,
    again.net_worth, again.net_worth_at,
    again.investing_activity, again.investing_activity_at,
    again.investing_experience_years, again.investing_experience_years_at,
    again.investing_objective, again.investing_objective_at,
    again.investment_type, again.investment_type_at,
    again.acquisition_survey, again.acquisition_survey_at,
    again.available_copy_credits, again.available_copy_credits_at,
    again.buying_power, again.buying_power_at,
    again.total_deposits, again.total_deposits_at,
    again.total_deposit_count, again.total_deposit_count_at,
    again.total_withdrawals, again.total_withdrawals_at,
    again.total_withdrawal_count, again.total_withdrawal_count_at,
    again.active_created_portfolios, again.active_created_portfolios_at,
    again.lifetime_created_portfolios, again.lifetime_created_portfolios_at,
    again.first_event_time, again.last_event_time
);
