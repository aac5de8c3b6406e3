-- Made from sql/templates/subscribers/compare_profiles.sql.jinja by `make sql`; edit that.
-- Compares a snapshot with what is stored. Run inside a transaction that holds the profiles lock, with
--   set local pipeline.snapshot_taken_at = '2025-01-31 02:00:00+00'; set local pipeline.snapshot_unidentified = 0
-- and a temporary table new_profiles (distinct_id, one column a catalog property, properties) holding the snapshot.
-- Null, missing and the empty string are one (spec section 5).

-- Who came, changed, went or came back. `took_back`: a value that the totals may rest on is no longer said.
create temporary table changed_profiles on commit drop as
select
    new.distinct_id,
    case when stored.distinct_id is null then 'new' when stored.deleted_at is not null then 'restored' else 'changed' end as change,
    (
        stored.income, stored.net_worth, stored.investing_activity, stored.investing_experience_years, stored.investing_objective, stored.investment_type, stored.acquisition_survey, stored.available_copy_credits, stored.buying_power, stored.total_deposits, stored.total_deposit_count, stored.total_withdrawals, stored.total_withdrawal_count, stored.active_created_portfolios, stored.lifetime_created_portfolios
    ) is distinct from (
        new.income, new.net_worth, new.investing_activity, new.investing_experience_years, new.investing_objective, new.investment_type, new.acquisition_survey, new.available_copy_credits, new.buying_power, new.total_deposits, new.total_deposit_count, new.total_withdrawals, new.total_withdrawal_count, new.active_created_portfolios, new.lifetime_created_portfolios
    ) as columns_differ,
    stored.deleted_at is null and (
        (stored.income is not null and new.income is null)
        or (stored.net_worth is not null and new.net_worth is null)
        or (stored.investing_activity is not null and new.investing_activity is null)
        or (stored.investing_experience_years is not null and new.investing_experience_years is null)
        or (stored.investing_objective is not null and new.investing_objective is null)
        or (stored.investment_type is not null and new.investment_type is null)
        or (stored.acquisition_survey is not null and new.acquisition_survey is null)
        or (stored.available_copy_credits is not null and new.available_copy_credits is null)
        or (stored.buying_power is not null and new.buying_power is null)
        or (stored.total_deposits is not null and new.total_deposits is null)
        or (stored.total_deposit_count is not null and new.total_deposit_count is null)
        or (stored.total_withdrawals is not null and new.total_withdrawals is null)
        or (stored.total_withdrawal_count is not null and new.total_withdrawal_count is null)
        or (stored.active_created_portfolios is not null and new.active_created_portfolios is null)
        or (stored.lifetime_created_portfolios is not null and new.lifetime_created_portfolios is null)
    ) as took_back
from new_profiles as new
left join subscriber_profiles as stored on stored.distinct_id = new.distinct_id
where stored.distinct_id is null or stored.deleted_at is not null or stored.properties is distinct from new.properties
    or (
        stored.income, stored.net_worth, stored.investing_activity, stored.investing_experience_years, stored.investing_objective, stored.investment_type, stored.acquisition_survey, stored.available_copy_credits, stored.buying_power, stored.total_deposits, stored.total_deposit_count, stored.total_withdrawals, stored.total_withdrawal_count, stored.active_created_portfolios, stored.lifetime_created_portfolios
    ) is distinct from (
        new.income, new.net_worth, new.investing_activity, new.investing_experience_years, new.investing_objective, new.investment_type, new.acquisition_survey, new.available_copy_credits, new.buying_power, new.total_deposits, new.total_deposit_count, new.total_withdrawals, new.total_withdrawal_count, new.active_created_portfolios, new.lifetime_created_portfolios
    );

-- What changed of whom, from and to.
create temporary table profile_differences on commit drop as
select changed.distinct_id, difference.*
from changed_profiles as changed
join subscriber_profiles as stored on stored.distinct_id = changed.distinct_id
join new_profiles as new on new.distinct_id = changed.distinct_id
cross join lateral (
    select coalesce(before.key, after.key) as property, before.value as old_value, after.value as new_value
    from (select * from jsonb_each(stored.properties) where value not in ('null', '""')) as before
    full join (select * from jsonb_each(new.properties) where value not in ('null', '""')) as after on after.key = before.key
    where before.value is distinct from after.value
) as difference;

-- Told apart only by null, missing or empty: the same.
delete from changed_profiles as changed
where changed.change = 'changed' and not changed.columns_differ
    and not exists (select from profile_differences as difference where difference.distinct_id = changed.distinct_id);

-- A complete snapshot without them. Where some came without an id, nobody who is missing is known to be gone.
insert into changed_profiles
select stored.distinct_id, 'deleted', false, true
from subscriber_profiles as stored
where stored.deleted_at is null and current_setting('pipeline.snapshot_unidentified')::bigint = 0
    and not exists (select from new_profiles as new where new.distinct_id = stored.distinct_id);

analyze changed_profiles;
