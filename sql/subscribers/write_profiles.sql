-- Made from sql/templates/subscribers/write_profiles.sql.jinja by `make sql`; edit that.
-- Writes those of a snapshot whom compare_profiles.sql found to differ, and their history. See there for what it needs.
insert into subscriber_profiles as stored (distinct_id, income, net_worth, investing_activity, investing_experience_years, investing_objective, investment_type, acquisition_survey, available_copy_credits, buying_power, total_deposits, total_deposit_count, total_withdrawals, total_withdrawal_count, active_created_portfolios, lifetime_created_portfolios, properties, first_seen_at, changed_at)
select new.distinct_id, new.income, new.net_worth, new.investing_activity, new.investing_experience_years, new.investing_objective, new.investment_type, new.acquisition_survey, new.available_copy_credits, new.buying_power, new.total_deposits, new.total_deposit_count, new.total_withdrawals, new.total_withdrawal_count, new.active_created_portfolios, new.lifetime_created_portfolios, new.properties, 
    current_setting('pipeline.snapshot_taken_at')::timestamptz, current_setting('pipeline.snapshot_taken_at')::timestamptz
from new_profiles as new
join changed_profiles as changed on changed.distinct_id = new.distinct_id
order by new.distinct_id
on conflict (distinct_id) do update set
    income = excluded.income,
    net_worth = excluded.net_worth,
    investing_activity = excluded.investing_activity,
    investing_experience_years = excluded.investing_experience_years,
    investing_objective = excluded.investing_objective,
    investment_type = excluded.investment_type,
    acquisition_survey = excluded.acquisition_survey,
    available_copy_credits = excluded.available_copy_credits,
    buying_power = excluded.buying_power,
    total_deposits = excluded.total_deposits,
    total_deposit_count = excluded.total_deposit_count,
    total_withdrawals = excluded.total_withdrawals,
    total_withdrawal_count = excluded.total_withdrawal_count,
    active_created_portfolios = excluded.active_created_portfolios,
    lifetime_created_portfolios = excluded.lifetime_created_portfolios,
    properties = excluded.properties,
    -- Where only what the catalog reads from the same properties is another, what Mixpanel said is as old as before.
    changed_at = case
        when stored.deleted_at is null and case when jsonb_typeof(stored.properties) = 'object' then (
            select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(stored.properties) where value not in ('null', '""')
        ) end = case when jsonb_typeof(excluded.properties) = 'object' then (
            select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(excluded.properties) where value not in ('null', '""')
        ) end then stored.changed_at
        else greatest(stored.changed_at, excluded.changed_at)
    end,
    deleted_at = null;

update subscriber_profiles as stored
set deleted_at = current_setting('pipeline.snapshot_taken_at')::timestamptz
from changed_profiles as changed
where stored.distinct_id = changed.distinct_id and changed.change = 'deleted';

-- Who came, went or came back has a row without a property; so has whoever was written without comparing.
insert into subscriber_profile_changes (distinct_id, changed_at, change, property, old_value, new_value)
select stored.distinct_id, case when changed.change = 'deleted' then stored.deleted_at else stored.changed_at end,
    case when changed.change <> 'rewritten' then changed.change when stored.first_seen_at = stored.changed_at then 'new' else 'changed' end,
    null, null, null
from changed_profiles as changed
join subscriber_profiles as stored on stored.distinct_id = changed.distinct_id
where changed.change in ('new', 'deleted', 'restored')
    or (changed.change = 'rewritten' and stored.changed_at = current_setting('pipeline.snapshot_taken_at')::timestamptz)
union all
select stored.distinct_id, stored.changed_at, changed.change, difference.property, difference.old_value, difference.new_value
from profile_differences as difference
join changed_profiles as changed on changed.distinct_id = difference.distinct_id
join subscriber_profiles as stored on stored.distinct_id = difference.distinct_id
order by 1, 4 nulls first;
