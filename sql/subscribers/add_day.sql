-- Made from sql/templates/subscribers/add_day.sql.jinja by `make sql`; edit that.
-- ADD: replaces one day's contributions and adds the difference to the totals (spec section 5).
-- Run inside a transaction that holds the totals lock, with
--   set local pipeline.export_day = '2025-01-31'
-- and a temporary table new_contributions like subscriber_daily_contributions holding the day.
-- Totals touched by nobody's change are not written.

-- Who changed, by how much, and whether something that the totals may rest on was taken back.
create temporary table changed_contributions on commit drop as
select
    coalesce(new.distinct_id, old.distinct_id) as distinct_id,
    new.distinct_id is null as gone,
    coalesce(new.total_copies, 0) - coalesce(old.total_copies, 0) as total_copies,
    coalesce(new.total_pdp_views, 0) - coalesce(old.total_pdp_views, 0) as total_pdp_views,
    coalesce(new.total_creator_profile_views, 0) - coalesce(old.total_creator_profile_views, 0) as total_creator_profile_views,
    coalesce(new.total_ach_transfers, 0) - coalesce(old.total_ach_transfers, 0) as total_ach_transfers,
    coalesce(new.paywall_views, 0) - coalesce(old.paywall_views, 0) as paywall_views,
    coalesce(new.total_subscriptions, 0) - coalesce(old.total_subscriptions, 0) as total_subscriptions,
    coalesce(new.app_sessions, 0) - coalesce(old.app_sessions, 0) as app_sessions,
    coalesce(new.discover_tab_views, 0) - coalesce(old.discover_tab_views, 0) as discover_tab_views,
    coalesce(new.stripe_modal_views, 0) - coalesce(old.stripe_modal_views, 0) as stripe_modal_views,
    coalesce(new.creator_card_taps, 0) - coalesce(old.creator_card_taps, 0) as creator_card_taps,
    coalesce(new.portfolio_card_taps, 0) - coalesce(old.portfolio_card_taps, 0) as portfolio_card_taps,
    coalesce(new.events_processed, 0) - coalesce(old.events_processed, 0) as events_processed,
    old.distinct_id is not null and (
        new.distinct_id is null
        or new.first_event_time > old.first_event_time
        or new.last_event_time < old.last_event_time
        or (old.linked_bank_account and not new.linked_bank_account)
        or (old.income_at is not null and (
            new.income_at is null
            or new.income_at < old.income_at
            or (new.income_at = old.income_at and new.income is distinct from old.income)))
        or (old.net_worth_at is not null and (
            new.net_worth_at is null
            or new.net_worth_at < old.net_worth_at
            or (new.net_worth_at = old.net_worth_at and new.net_worth is distinct from old.net_worth)))
        or (old.investing_activity_at is not null and (
            new.investing_activity_at is null
            or new.investing_activity_at < old.investing_activity_at
            or (new.investing_activity_at = old.investing_activity_at and new.investing_activity is distinct from old.investing_activity)))
        or (old.investing_experience_years_at is not null and (
            new.investing_experience_years_at is null
            or new.investing_experience_years_at < old.investing_experience_years_at
            or (new.investing_experience_years_at = old.investing_experience_years_at and new.investing_experience_years is distinct from old.investing_experience_years)))
        or (old.investing_objective_at is not null and (
            new.investing_objective_at is null
            or new.investing_objective_at < old.investing_objective_at
            or (new.investing_objective_at = old.investing_objective_at and new.investing_objective is distinct from old.investing_objective)))
        or (old.investment_type_at is not null and (
            new.investment_type_at is null
            or new.investment_type_at < old.investment_type_at
            or (new.investment_type_at = old.investment_type_at and new.investment_type is distinct from old.investment_type)))
        or (old.acquisition_survey_at is not null and (
            new.acquisition_survey_at is null
            or new.acquisition_survey_at < old.acquisition_survey_at
            or (new.acquisition_survey_at = old.acquisition_survey_at and new.acquisition_survey is distinct from old.acquisition_survey)))
        or (old.available_copy_credits_at is not null and (
            new.available_copy_credits_at is null
            or new.available_copy_credits_at < old.available_copy_credits_at
            or (new.available_copy_credits_at = old.available_copy_credits_at and new.available_copy_credits is distinct from old.available_copy_credits)))
        or (old.buying_power_at is not null and (
            new.buying_power_at is null
            or new.buying_power_at < old.buying_power_at
            or (new.buying_power_at = old.buying_power_at and new.buying_power is distinct from old.buying_power)))
        or (old.total_deposits_at is not null and (
            new.total_deposits_at is null
            or new.total_deposits_at < old.total_deposits_at
            or (new.total_deposits_at = old.total_deposits_at and new.total_deposits is distinct from old.total_deposits)))
        or (old.total_deposit_count_at is not null and (
            new.total_deposit_count_at is null
            or new.total_deposit_count_at < old.total_deposit_count_at
            or (new.total_deposit_count_at = old.total_deposit_count_at and new.total_deposit_count is distinct from old.total_deposit_count)))
        or (old.total_withdrawals_at is not null and (
            new.total_withdrawals_at is null
            or new.total_withdrawals_at < old.total_withdrawals_at
            or (new.total_withdrawals_at = old.total_withdrawals_at and new.total_withdrawals is distinct from old.total_withdrawals)))
        or (old.total_withdrawal_count_at is not null and (
            new.total_withdrawal_count_at is null
            or new.total_withdrawal_count_at < old.total_withdrawal_count_at
            or (new.total_withdrawal_count_at = old.total_withdrawal_count_at and new.total_withdrawal_count is distinct from old.total_withdrawal_count)))
        or (old.active_created_portfolios_at is not null and (
            new.active_created_portfolios_at is null
            or new.active_created_portfolios_at < old.active_created_portfolios_at
            or (new.active_created_portfolios_at = old.active_created_portfolios_at and new.active_created_portfolios is distinct from old.active_created_portfolios)))
        or (old.lifetime_created_portfolios_at is not null and (
            new.lifetime_created_portfolios_at is null
            or new.lifetime_created_portfolios_at < old.lifetime_created_portfolios_at
            or (new.lifetime_created_portfolios_at = old.lifetime_created_portfolios_at and new.lifetime_created_portfolios is distinct from old.lifetime_created_portfolios)))
    ) as took_back
from new_contributions as new
full join (
    select * from subscriber_daily_contributions
    where export_day = current_setting('pipeline.export_day')::date
) as old on old.distinct_id = new.distinct_id
where new is distinct from old;

create unique index on changed_contributions (distinct_id);
analyze changed_contributions;

delete from subscriber_daily_contributions as stored
using changed_contributions as changed
where stored.export_day = current_setting('pipeline.export_day')::date
    and stored.distinct_id = changed.distinct_id;

insert into subscriber_daily_contributions
select new.*
from new_contributions as new
join changed_contributions as changed on changed.distinct_id = new.distinct_id;

-- A value as old as the one in the totals but another one: which day's wins is decided by recomputing.
update changed_contributions as changed
set took_back = true
from new_contributions as new
join subscribers_insights_v2 as totals on totals.distinct_id = new.distinct_id
where changed.distinct_id = new.distinct_id and not changed.took_back and (
    (new.income_at = totals.income_at and new.income is distinct from totals.income)
    or (new.net_worth_at = totals.net_worth_at and new.net_worth is distinct from totals.net_worth)
    or (new.investing_activity_at = totals.investing_activity_at and new.investing_activity is distinct from totals.investing_activity)
    or (new.investing_experience_years_at = totals.investing_experience_years_at and new.investing_experience_years is distinct from totals.investing_experience_years)
    or (new.investing_objective_at = totals.investing_objective_at and new.investing_objective is distinct from totals.investing_objective)
    or (new.investment_type_at = totals.investment_type_at and new.investment_type is distinct from totals.investment_type)
    or (new.acquisition_survey_at = totals.acquisition_survey_at and new.acquisition_survey is distinct from totals.acquisition_survey)
    or (new.available_copy_credits_at = totals.available_copy_credits_at and new.available_copy_credits is distinct from totals.available_copy_credits)
    or (new.buying_power_at = totals.buying_power_at and new.buying_power is distinct from totals.buying_power)
    or (new.total_deposits_at = totals.total_deposits_at and new.total_deposits is distinct from totals.total_deposits)
    or (new.total_deposit_count_at = totals.total_deposit_count_at and new.total_deposit_count is distinct from totals.total_deposit_count)
    or (new.total_withdrawals_at = totals.total_withdrawals_at and new.total_withdrawals is distinct from totals.total_withdrawals)
    or (new.total_withdrawal_count_at = totals.total_withdrawal_count_at and new.total_withdrawal_count is distinct from totals.total_withdrawal_count)
    or (new.active_created_portfolios_at = totals.active_created_portfolios_at and new.active_created_portfolios is distinct from totals.active_created_portfolios)
    or (new.lifetime_created_portfolios_at = totals.lifetime_created_portfolios_at and new.lifetime_created_portfolios is distinct from totals.lifetime_created_portfolios)
);

insert into subscribers_insights_v2 as totals (
    distinct_id, total_copies, total_pdp_views, total_creator_profile_views, total_ach_transfers, paywall_views, total_subscriptions, app_sessions, discover_tab_views, stripe_modal_views, creator_card_taps, portfolio_card_taps, linked_bank_account, income, income_at, net_worth, net_worth_at, investing_activity, investing_activity_at, investing_experience_years, investing_experience_years_at, investing_objective, investing_objective_at, investment_type, investment_type_at, acquisition_survey, acquisition_survey_at, available_copy_credits, available_copy_credits_at, buying_power, buying_power_at, total_deposits, total_deposits_at, total_deposit_count, total_deposit_count_at, total_withdrawals, total_withdrawals_at, total_withdrawal_count, total_withdrawal_count_at, active_created_portfolios, active_created_portfolios_at, lifetime_created_portfolios, lifetime_created_portfolios_at,
    events_processed, first_event_time, last_event_time, updated_at
)
select
    changed.distinct_id, changed.total_copies, changed.total_pdp_views, changed.total_creator_profile_views, changed.total_ach_transfers, changed.paywall_views, changed.total_subscriptions, changed.app_sessions, changed.discover_tab_views, changed.stripe_modal_views, changed.creator_card_taps, changed.portfolio_card_taps, coalesce(new.linked_bank_account, false), new.income, new.income_at, new.net_worth, new.net_worth_at, new.investing_activity, new.investing_activity_at, new.investing_experience_years, new.investing_experience_years_at, new.investing_objective, new.investing_objective_at, new.investment_type, new.investment_type_at, new.acquisition_survey, new.acquisition_survey_at, new.available_copy_credits, new.available_copy_credits_at, new.buying_power, new.buying_power_at, new.total_deposits, new.total_deposits_at, new.total_deposit_count, new.total_deposit_count_at, new.total_withdrawals, new.total_withdrawals_at, new.total_withdrawal_count, new.total_withdrawal_count_at, new.active_created_portfolios, new.active_created_portfolios_at, new.lifetime_created_portfolios, new.lifetime_created_portfolios_at,
    changed.events_processed, new.first_event_time, new.last_event_time, clock_timestamp()
from changed_contributions as changed
left join new_contributions as new on new.distinct_id = changed.distinct_id
order by changed.distinct_id
on conflict (distinct_id) do update set
    total_copies = totals.total_copies + excluded.total_copies,
    total_pdp_views = totals.total_pdp_views + excluded.total_pdp_views,
    total_creator_profile_views = totals.total_creator_profile_views + excluded.total_creator_profile_views,
    total_ach_transfers = totals.total_ach_transfers + excluded.total_ach_transfers,
    paywall_views = totals.paywall_views + excluded.paywall_views,
    total_subscriptions = totals.total_subscriptions + excluded.total_subscriptions,
    app_sessions = totals.app_sessions + excluded.app_sessions,
    discover_tab_views = totals.discover_tab_views + excluded.discover_tab_views,
    stripe_modal_views = totals.stripe_modal_views + excluded.stripe_modal_views,
    creator_card_taps = totals.creator_card_taps + excluded.creator_card_taps,
    portfolio_card_taps = totals.portfolio_card_taps + excluded.portfolio_card_taps,
    linked_bank_account = totals.linked_bank_account or excluded.linked_bank_account,
    income = case when excluded.income_at > totals.income_at or totals.income_at is null then excluded.income else totals.income end,
    income_at = greatest(excluded.income_at, totals.income_at),
    net_worth = case when excluded.net_worth_at > totals.net_worth_at or totals.net_worth_at is null then excluded.net_worth else totals.net_worth end,
    net_worth_at = greatest(excluded.net_worth_at, totals.net_worth_at),
    investing_activity = case when excluded.investing_activity_at > totals.investing_activity_at or totals.investing_activity_at is null then excluded.investing_activity else totals.investing_activity end,
    investing_activity_at = greatest(excluded.investing_activity_at, totals.investing_activity_at),
    investing_experience_years = case when excluded.investing_experience_years_at > totals.investing_experience_years_at or totals.investing_experience_years_at is null then excluded.investing_experience_years else totals.investing_experience_years end,
    investing_experience_years_at = greatest(excluded.investing_experience_years_at, totals.investing_experience_years_at),
    investing_objective = case when excluded.investing_objective_at > totals.investing_objective_at or totals.investing_objective_at is null then excluded.investing_objective else totals.investing_objective end,
    investing_objective_at = greatest(excluded.investing_objective_at, totals.investing_objective_at),
    investment_type = case when excluded.investment_type_at > totals.investment_type_at or totals.investment_type_at is null then excluded.investment_type else totals.investment_type end,
    investment_type_at = greatest(excluded.investment_type_at, totals.investment_type_at),
    acquisition_survey = case when excluded.acquisition_survey_at > totals.acquisition_survey_at or totals.acquisition_survey_at is null then excluded.acquisition_survey else totals.acquisition_survey end,
    acquisition_survey_at = greatest(excluded.acquisition_survey_at, totals.acquisition_survey_at),
    available_copy_credits = case when excluded.available_copy_credits_at > totals.available_copy_credits_at or totals.available_copy_credits_at is null then excluded.available_copy_credits else totals.available_copy_credits end,
    available_copy_credits_at = greatest(excluded.available_copy_credits_at, totals.available_copy_credits_at),
    buying_power = case when excluded.buying_power_at > totals.buying_power_at or totals.buying_power_at is null then excluded.buying_power else totals.buying_power end,
    buying_power_at = greatest(excluded.buying_power_at, totals.buying_power_at),
    total_deposits = case when excluded.total_deposits_at > totals.total_deposits_at or totals.total_deposits_at is null then excluded.total_deposits else totals.total_deposits end,
    total_deposits_at = greatest(excluded.total_deposits_at, totals.total_deposits_at),
    total_deposit_count = case when excluded.total_deposit_count_at > totals.total_deposit_count_at or totals.total_deposit_count_at is null then excluded.total_deposit_count else totals.total_deposit_count end,
    total_deposit_count_at = greatest(excluded.total_deposit_count_at, totals.total_deposit_count_at),
    total_withdrawals = case when excluded.total_withdrawals_at > totals.total_withdrawals_at or totals.total_withdrawals_at is null then excluded.total_withdrawals else totals.total_withdrawals end,
    total_withdrawals_at = greatest(excluded.total_withdrawals_at, totals.total_withdrawals_at),
    total_withdrawal_count = case when excluded.total_withdrawal_count_at > totals.total_withdrawal_count_at or totals.total_withdrawal_count_at is null then excluded.total_withdrawal_count else totals.total_withdrawal_count end,
    total_withdrawal_count_at = greatest(excluded.total_withdrawal_count_at, totals.total_withdrawal_count_at),
    active_created_portfolios = case when excluded.active_created_portfolios_at > totals.active_created_portfolios_at or totals.active_created_portfolios_at is null then excluded.active_created_portfolios else totals.active_created_portfolios end,
    active_created_portfolios_at = greatest(excluded.active_created_portfolios_at, totals.active_created_portfolios_at),
    lifetime_created_portfolios = case when excluded.lifetime_created_portfolios_at > totals.lifetime_created_portfolios_at or totals.lifetime_created_portfolios_at is null then excluded.lifetime_created_portfolios else totals.lifetime_created_portfolios end,
    lifetime_created_portfolios_at = greatest(excluded.lifetime_created_portfolios_at, totals.lifetime_created_portfolios_at),
    events_processed = totals.events_processed + excluded.events_processed,
    first_event_time = least(totals.first_event_time, excluded.first_event_time),
    last_event_time = greatest(totals.last_event_time, excluded.last_event_time),
    updated_at = excluded.updated_at;

-- What cannot be subtracted is computed again, for the people it was taken back from: usually nobody.
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
    from changed_contributions as person
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

-- A person whose contributions are all gone, and who has no profile, is gone.
delete from subscribers_insights_v2 as totals
using changed_contributions as changed
where totals.distinct_id = changed.distinct_id and changed.gone and totals.events_processed = 0
    and not exists (
        select from subscriber_profiles as profile
        where profile.distinct_id = totals.distinct_id and profile.deleted_at is null
    );
