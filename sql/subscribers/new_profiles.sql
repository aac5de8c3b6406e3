-- Made from sql/templates/subscribers/new_profiles.sql.jinja by `make sql`; edit that.
-- Where a snapshot is copied to before it is compared: as subscriber_profiles, less its own times.
create temporary table new_profiles on commit drop as
select distinct_id, income, net_worth, investing_activity, investing_experience_years, investing_objective, investment_type, acquisition_survey, available_copy_credits, buying_power, total_deposits, total_deposit_count, total_withdrawals, total_withdrawal_count, active_created_portfolios, lifetime_created_portfolios, properties from subscriber_profiles
with no data;
-- Nothing is ever looked for by its statistics, and gathering them writes more log than all else of an unchanged snapshot.
alter table new_profiles alter column properties set statistics 0;
