-- Made from sql/templates/lake/every_value.sql.jinja by `make sql`; edit that.
-- DuckDB: one number for which every value of view partition_events has to be read, under the name that it should have.
select bit_xor(hash(
    export_day, event, distinct_id, subscriber_id, time, insert_id, mp_processing_time_ms,
    income,
    net_worth,
    investing_activity,
    investing_experience_years,
    investing_objective,
    investment_type,
    acquisition_survey,
    available_copy_credits,
    buying_power,
    total_deposits,
    total_deposit_count,
    total_withdrawals,
    total_withdrawal_count,
    active_created_portfolios,
    lifetime_created_portfolios,
    properties, row_hash
)) from partition_events
