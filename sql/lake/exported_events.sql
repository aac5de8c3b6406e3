-- Made from sql/templates/lake/exported_events.sql.jinja by `make sql`; edit that.
-- DuckDB: every line of an export as one typed row, usable or not.
-- Variables: `source` (JSON lines, gzip or plain), `export_day`, and the wall clock of that day in `boundary`,
-- `offset_before`, `offset_after` (seconds; utc mode: no boundary and zero offsets; lake/wall_clock.py).
-- A line that is no JSON, no event or has no usable time comes out with `usable` false and goes to repair.
with lines as (
    select event, properties, json_transform(properties, '{"time": "VARCHAR", "$insert_id": "VARCHAR", "mp_processing_time_ms": "VARCHAR", "distinct_id": "VARCHAR", "$distinct_id": "VARCHAR", "user_id": "VARCHAR", "$user_id": "VARCHAR", "identified_id": "VARCHAR", "$identified_id": "VARCHAR", "income": "VARCHAR", "netWorth": "VARCHAR", "net_worth": "VARCHAR", "investingActivity": "VARCHAR", "investing_activity": "VARCHAR", "investingExperienceYears": "VARCHAR", "investing_experience_years": "VARCHAR", "investingObjective": "VARCHAR", "investing_objective": "VARCHAR", "investmentType": "VARCHAR", "investment_type": "VARCHAR", "acquisitionSurvey": "VARCHAR", "acquisition_survey": "VARCHAR", "availableCopyCredits": "VARCHAR", "available_copy_credits": "VARCHAR", "buyingPower": "VARCHAR", "buying_power": "VARCHAR", "totalDeposits": "VARCHAR", "total_deposits": "VARCHAR", "totalDepositCount": "VARCHAR", "total_deposit_count": "VARCHAR", "totalWithdrawals": "VARCHAR", "total_withdrawals": "VARCHAR", "totalWithdrawalCount": "VARCHAR", "total_withdrawal_count": "VARCHAR", "activeCreatedPortfolios": "VARCHAR", "active_created_portfolios": "VARCHAR", "lifetimeCreatedPortfolios": "VARCHAR", "lifetime_created_portfolios": "VARCHAR"}') as extracted
    from read_json(
        getvariable('source'), format = 'newline_delimited', columns = {event: 'VARCHAR', properties: 'JSON'},
        ignore_errors = true, maximum_object_size = 16777216, hive_partitioning = false
    )
),
timed as (
    select
        *,
        -- Seconds as a number or numeric text; some accounts send an ISO date, in UTC unless it says otherwise
        -- (reference/mixpanel.md A1.3).
        coalesce(try_cast(extracted."time" as double), epoch_us(try_cast(extracted."time" as timestamptz)) / 1e6) as wall_seconds,
        -- The first non-empty of these is who the event counts for (spec section 5).
        -- Postgres' text has no NUL.
        replace(coalesce(nullif(extracted."distinct_id", ''), nullif(extracted."$distinct_id", ''), nullif(extracted."user_id", ''), nullif(extracted."$user_id", ''), nullif(extracted."identified_id", ''), nullif(extracted."$identified_id", '')), chr(0), chr(65533)) as identity,
        -- Numbers as exact digits for Postgres' numeric: JSON numbers and numeric text; anything else is null.
        case when length(extracted."availableCopyCredits") <= 60
            and regexp_full_match(extracted."availableCopyCredits", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."availableCopyCredits" as double))
            then trim(extracted."availableCopyCredits") end as "digits availableCopyCredits",
        case when length(extracted."available_copy_credits") <= 60
            and regexp_full_match(extracted."available_copy_credits", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."available_copy_credits" as double))
            then trim(extracted."available_copy_credits") end as "digits available_copy_credits",
        case when length(extracted."buyingPower") <= 60
            and regexp_full_match(extracted."buyingPower", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."buyingPower" as double))
            then trim(extracted."buyingPower") end as "digits buyingPower",
        case when length(extracted."buying_power") <= 60
            and regexp_full_match(extracted."buying_power", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."buying_power" as double))
            then trim(extracted."buying_power") end as "digits buying_power",
        case when length(extracted."totalDeposits") <= 60
            and regexp_full_match(extracted."totalDeposits", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."totalDeposits" as double))
            then trim(extracted."totalDeposits") end as "digits totalDeposits",
        case when length(extracted."total_deposits") <= 60
            and regexp_full_match(extracted."total_deposits", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."total_deposits" as double))
            then trim(extracted."total_deposits") end as "digits total_deposits",
        case when length(extracted."totalDepositCount") <= 60
            and regexp_full_match(extracted."totalDepositCount", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."totalDepositCount" as double))
            then trim(extracted."totalDepositCount") end as "digits totalDepositCount",
        case when length(extracted."total_deposit_count") <= 60
            and regexp_full_match(extracted."total_deposit_count", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."total_deposit_count" as double))
            then trim(extracted."total_deposit_count") end as "digits total_deposit_count",
        case when length(extracted."totalWithdrawals") <= 60
            and regexp_full_match(extracted."totalWithdrawals", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."totalWithdrawals" as double))
            then trim(extracted."totalWithdrawals") end as "digits totalWithdrawals",
        case when length(extracted."total_withdrawals") <= 60
            and regexp_full_match(extracted."total_withdrawals", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."total_withdrawals" as double))
            then trim(extracted."total_withdrawals") end as "digits total_withdrawals",
        case when length(extracted."totalWithdrawalCount") <= 60
            and regexp_full_match(extracted."totalWithdrawalCount", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."totalWithdrawalCount" as double))
            then trim(extracted."totalWithdrawalCount") end as "digits totalWithdrawalCount",
        case when length(extracted."total_withdrawal_count") <= 60
            and regexp_full_match(extracted."total_withdrawal_count", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."total_withdrawal_count" as double))
            then trim(extracted."total_withdrawal_count") end as "digits total_withdrawal_count",
        case when length(extracted."activeCreatedPortfolios") <= 60
            and regexp_full_match(extracted."activeCreatedPortfolios", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."activeCreatedPortfolios" as double))
            then trim(extracted."activeCreatedPortfolios") end as "digits activeCreatedPortfolios",
        case when length(extracted."active_created_portfolios") <= 60
            and regexp_full_match(extracted."active_created_portfolios", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."active_created_portfolios" as double))
            then trim(extracted."active_created_portfolios") end as "digits active_created_portfolios",
        case when length(extracted."lifetimeCreatedPortfolios") <= 60
            and regexp_full_match(extracted."lifetimeCreatedPortfolios", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."lifetimeCreatedPortfolios" as double))
            then trim(extracted."lifetimeCreatedPortfolios") end as "digits lifetimeCreatedPortfolios",
        case when length(extracted."lifetime_created_portfolios") <= 60
            and regexp_full_match(extracted."lifetime_created_portfolios", '\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*')
            and isfinite(try_cast(extracted."lifetime_created_portfolios" as double))
            then trim(extracted."lifetime_created_portfolios") end as "digits lifetime_created_portfolios"
    from lines
)
select
    -- 0001-01-02 to 9999-12-30, which in every zone are times that Postgres, Parquet and Python can hold. Properties that are no object have no time.
    coalesce(event is not null and wall_seconds between -62135510400 and 253402214399, false) as usable,
    getvariable('export_day')::date as export_day,
    event,
    extracted."distinct_id" as distinct_id,
    -- Anonymous devices count for nobody; nor does an id too long for an index (2,704 bytes in Postgres).
    case when not starts_with(identity, '$device:') and strlen(identity) <= 2000 then identity end as subscriber_id,
    make_timestamptz(
        ((case when wall_seconds between -62135510400 and 253402214399 then wall_seconds end
            - case when wall_seconds < getvariable('boundary')::double then getvariable('offset_before')::double else getvariable('offset_after')::double end
        ) * 1000000)::bigint
    ) as time,
    wall_seconds,
    nullif(extracted."$insert_id", '') as insert_id,
    -- An integer; casting what is none by way of a decimal costs four times as much.
    coalesce(
        try_cast(extracted."mp_processing_time_ms" as bigint),
        try_cast(try_cast(extracted."mp_processing_time_ms" as decimal(38, 6)) as bigint)
    ) as mp_processing_time_ms,
    coalesce(nullif(extracted."income", '')) as income,
    coalesce(nullif(extracted."netWorth", ''), nullif(extracted."net_worth", '')) as net_worth,
    coalesce(nullif(extracted."investingActivity", ''), nullif(extracted."investing_activity", '')) as investing_activity,
    coalesce(nullif(extracted."investingExperienceYears", ''), nullif(extracted."investing_experience_years", '')) as investing_experience_years,
    coalesce(nullif(extracted."investingObjective", ''), nullif(extracted."investing_objective", '')) as investing_objective,
    coalesce(nullif(extracted."investmentType", ''), nullif(extracted."investment_type", '')) as investment_type,
    coalesce(nullif(extracted."acquisitionSurvey", ''), nullif(extracted."acquisition_survey", '')) as acquisition_survey,
    coalesce("digits availableCopyCredits", "digits available_copy_credits") as available_copy_credits,
    coalesce("digits buyingPower", "digits buying_power") as buying_power,
    coalesce("digits totalDeposits", "digits total_deposits") as total_deposits,
    coalesce("digits totalDepositCount", "digits total_deposit_count") as total_deposit_count,
    coalesce("digits totalWithdrawals", "digits total_withdrawals") as total_withdrawals,
    coalesce("digits totalWithdrawalCount", "digits total_withdrawal_count") as total_withdrawal_count,
    coalesce("digits activeCreatedPortfolios", "digits active_created_portfolios") as active_created_portfolios,
    coalesce("digits lifetimeCreatedPortfolios", "digits lifetime_created_portfolios") as lifetime_created_portfolios,
    (
        (nullif(extracted."availableCopyCredits", '') is not null and "digits availableCopyCredits" is null)::int
        + (nullif(extracted."available_copy_credits", '') is not null and "digits available_copy_credits" is null)::int
        + (nullif(extracted."buyingPower", '') is not null and "digits buyingPower" is null)::int
        + (nullif(extracted."buying_power", '') is not null and "digits buying_power" is null)::int
        + (nullif(extracted."totalDeposits", '') is not null and "digits totalDeposits" is null)::int
        + (nullif(extracted."total_deposits", '') is not null and "digits total_deposits" is null)::int
        + (nullif(extracted."totalDepositCount", '') is not null and "digits totalDepositCount" is null)::int
        + (nullif(extracted."total_deposit_count", '') is not null and "digits total_deposit_count" is null)::int
        + (nullif(extracted."totalWithdrawals", '') is not null and "digits totalWithdrawals" is null)::int
        + (nullif(extracted."total_withdrawals", '') is not null and "digits total_withdrawals" is null)::int
        + (nullif(extracted."totalWithdrawalCount", '') is not null and "digits totalWithdrawalCount" is null)::int
        + (nullif(extracted."total_withdrawal_count", '') is not null and "digits total_withdrawal_count" is null)::int
        + (nullif(extracted."activeCreatedPortfolios", '') is not null and "digits activeCreatedPortfolios" is null)::int
        + (nullif(extracted."active_created_portfolios", '') is not null and "digits active_created_portfolios" is null)::int
        + (nullif(extracted."lifetimeCreatedPortfolios", '') is not null and "digits lifetimeCreatedPortfolios" is null)::int
        + (nullif(extracted."lifetime_created_portfolios", '') is not null and "digits lifetime_created_portfolios" is null)::int
    ) as bad_values,
    properties,
    hash(event, properties) as row_hash
from timed
