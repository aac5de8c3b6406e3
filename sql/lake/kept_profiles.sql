-- Made from sql/templates/lake/kept_profiles.sql.jinja by `make sql`; edit that.
-- DuckDB: the profiles that are kept, as Postgres takes them. Variable `staged`: the file of sql/lake/exported_profiles.sql.
-- Ids that only a character apart from Postgres' told apart are one there: the first of them is kept.
select
    subscriber_id as distinct_id,
    replace(income, chr(0), chr(65533)) as income,
    replace(net_worth, chr(0), chr(65533)) as net_worth,
    replace(investing_activity, chr(0), chr(65533)) as investing_activity,
    replace(investing_experience_years, chr(0), chr(65533)) as investing_experience_years,
    replace(investing_objective, chr(0), chr(65533)) as investing_objective,
    replace(investment_type, chr(0), chr(65533)) as investment_type,
    replace(acquisition_survey, chr(0), chr(65533)) as acquisition_survey,
    available_copy_credits,
    buying_power,
    total_deposits,
    total_deposit_count,
    total_withdrawals,
    total_withdrawal_count,
    active_created_portfolios,
    lifetime_created_portfolios,
    coalesce(storable, properties) as properties
from read_parquet(getvariable('staged'), hive_partitioning = false)
where subscriber_id is not null
qualify row_number() over (partition by subscriber_id order by distinct_id, properties::varchar) = 1
order by subscriber_id
