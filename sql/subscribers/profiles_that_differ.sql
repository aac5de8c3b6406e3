-- Made from sql/templates/subscribers/profiles_that_differ.sql.jinja by `make sql`; edit that.
-- Where stored profiles are not what the newest snapshot says: a row for a person, or for each value of theirs.
-- Temporary table new_profiles: the snapshot. Parameter `all_identified`: nobody in it came without an id, so that
-- whoever is missing is gone. Null, missing and the empty string are one (spec section 5).
-- It shares nothing with compare_profiles.sql on purpose: it has to find what that one overlooks.
with live as (
    select * from subscriber_profiles where deleted_at is null
)
select distinct_id, difference, left(stored_value, 200) as stored_value, left(snapshot_value, 200) as snapshot_value
from (
    select coalesce(stored.distinct_id, snapshot.distinct_id) as distinct_id,
        case
            when stored.distinct_id is null then 'is not stored'
            when snapshot.distinct_id is null then 'is stored, but not in the snapshot'
            else 'is stored as deleted'
        end as difference,
        null::text as stored_value, null::text as snapshot_value
    from subscriber_profiles as stored
    full join new_profiles as snapshot on snapshot.distinct_id = stored.distinct_id
    where stored.distinct_id is null
        or (snapshot.distinct_id is null and stored.deleted_at is null and %(all_identified)s)
        or (snapshot.distinct_id is not null and stored.deleted_at is not null)
    union all
    select stored.distinct_id, held.difference, held.stored_value, held.snapshot_value
    from live as stored
    join new_profiles as snapshot on snapshot.distinct_id = stored.distinct_id
    cross join lateral (values
        ('column income', stored.income::text, snapshot.income::text, stored.income is distinct from snapshot.income),
        ('column net_worth', stored.net_worth::text, snapshot.net_worth::text, stored.net_worth is distinct from snapshot.net_worth),
        ('column investing_activity', stored.investing_activity::text, snapshot.investing_activity::text, stored.investing_activity is distinct from snapshot.investing_activity),
        ('column investing_experience_years', stored.investing_experience_years::text, snapshot.investing_experience_years::text, stored.investing_experience_years is distinct from snapshot.investing_experience_years),
        ('column investing_objective', stored.investing_objective::text, snapshot.investing_objective::text, stored.investing_objective is distinct from snapshot.investing_objective),
        ('column investment_type', stored.investment_type::text, snapshot.investment_type::text, stored.investment_type is distinct from snapshot.investment_type),
        ('column acquisition_survey', stored.acquisition_survey::text, snapshot.acquisition_survey::text, stored.acquisition_survey is distinct from snapshot.acquisition_survey),
        ('column available_copy_credits', stored.available_copy_credits::text, snapshot.available_copy_credits::text, stored.available_copy_credits is distinct from snapshot.available_copy_credits),
        ('column buying_power', stored.buying_power::text, snapshot.buying_power::text, stored.buying_power is distinct from snapshot.buying_power),
        ('column total_deposits', stored.total_deposits::text, snapshot.total_deposits::text, stored.total_deposits is distinct from snapshot.total_deposits),
        ('column total_deposit_count', stored.total_deposit_count::text, snapshot.total_deposit_count::text, stored.total_deposit_count is distinct from snapshot.total_deposit_count),
        ('column total_withdrawals', stored.total_withdrawals::text, snapshot.total_withdrawals::text, stored.total_withdrawals is distinct from snapshot.total_withdrawals),
        ('column total_withdrawal_count', stored.total_withdrawal_count::text, snapshot.total_withdrawal_count::text, stored.total_withdrawal_count is distinct from snapshot.total_withdrawal_count),
        ('column active_created_portfolios', stored.active_created_portfolios::text, snapshot.active_created_portfolios::text, stored.active_created_portfolios is distinct from snapshot.active_created_portfolios),
        ('column lifetime_created_portfolios', stored.lifetime_created_portfolios::text, snapshot.lifetime_created_portfolios::text, stored.lifetime_created_portfolios is distinct from snapshot.lifetime_created_portfolios)
    ) as held (difference, stored_value, snapshot_value, differs)
    where held.differs
    union all
    select stored.distinct_id, 'property ' || key, held.stored_value #>> '{}', held.snapshot_value #>> '{}'
    from live as stored
    join new_profiles as snapshot on snapshot.distinct_id = stored.distinct_id
    cross join lateral (
        -- Somebody may have written what is no object.
        select case jsonb_typeof(stored.properties) when 'object' then stored.properties else jsonb_build_object('', stored.properties) end
    ) as readable (properties)
    cross join lateral (
        select key, before.value as stored_value, after.value as snapshot_value
        from (select key, value from jsonb_each(readable.properties) where value not in ('null', '""')) as before
        full join (select key, value from jsonb_each(snapshot.properties) where value not in ('null', '""')) as after using (key)
        where before.value is distinct from after.value
    ) as held
    where stored.properties <> snapshot.properties
) as differences
order by distinct_id, difference
