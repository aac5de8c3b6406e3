-- Made from sql/templates/lake/exported_profiles.sql.jinja by `make sql`; edit that.
-- DuckDB: every line of a snapshot of profiles as one typed row.
-- Variables: `source` (JSON lines), `longest_line` (bytes).
-- `storable` is there where `properties` has characters that Postgres has not, and has others for them; `refused` is
-- why the client would not take somebody.
with lines as (
    select case when json_type("$distinct_id") = 'VARCHAR' then "$distinct_id" ->> '$' end as distinct_id, "$properties" as properties, "$storable" as storable, "$refused" as refused,
        json_transform("$properties", '{"income": "VARCHAR", "netWorth": "VARCHAR", "net_worth": "VARCHAR", "investingActivity": "VARCHAR", "investing_activity": "VARCHAR", "investingExperienceYears": "VARCHAR", "investing_experience_years": "VARCHAR", "investingObjective": "VARCHAR", "investing_objective": "VARCHAR", "investmentType": "VARCHAR", "investment_type": "VARCHAR", "acquisitionSurvey": "VARCHAR", "acquisition_survey": "VARCHAR", "availableCopyCredits": "VARCHAR", "available_copy_credits": "VARCHAR", "buyingPower": "VARCHAR", "buying_power": "VARCHAR", "totalDeposits": "VARCHAR", "total_deposits": "VARCHAR", "totalDepositCount": "VARCHAR", "total_deposit_count": "VARCHAR", "totalWithdrawals": "VARCHAR", "total_withdrawals": "VARCHAR", "totalWithdrawalCount": "VARCHAR", "total_withdrawal_count": "VARCHAR", "activeCreatedPortfolios": "VARCHAR", "active_created_portfolios": "VARCHAR", "lifetimeCreatedPortfolios": "VARCHAR", "lifetime_created_portfolios": "VARCHAR"}') as extracted
    from read_json(
        getvariable('source'), format = 'newline_delimited',
        columns = {'$distinct_id': 'JSON', '$properties': 'JSON', '$storable': 'JSON', '$refused': 'VARCHAR'},
        maximum_object_size = getvariable('longest_line')::uinteger, hive_partitioning = false
    )
),
typed as (
    select
        *,
        -- Postgres' text has no NUL.
        replace(nullif(distinct_id, ''), chr(0), chr(65533)) as identity,
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
    distinct_id,
    -- Anonymous devices count for nobody; an id too long for an index (2,704 bytes in Postgres) cannot be kept.
    case when refused is null and not starts_with(identity, '$device:') and strlen(identity) <= 2000 then identity end as subscriber_id,
    coalesce(starts_with(identity, '$device:'), false) as anonymous,
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
    list_filter([
        case when nullif(extracted."availableCopyCredits", '') is not null and "digits availableCopyCredits" is null then 'availableCopyCredits' end,
        case when nullif(extracted."available_copy_credits", '') is not null and "digits available_copy_credits" is null then 'available_copy_credits' end,
        case when nullif(extracted."buyingPower", '') is not null and "digits buyingPower" is null then 'buyingPower' end,
        case when nullif(extracted."buying_power", '') is not null and "digits buying_power" is null then 'buying_power' end,
        case when nullif(extracted."totalDeposits", '') is not null and "digits totalDeposits" is null then 'totalDeposits' end,
        case when nullif(extracted."total_deposits", '') is not null and "digits total_deposits" is null then 'total_deposits' end,
        case when nullif(extracted."totalDepositCount", '') is not null and "digits totalDepositCount" is null then 'totalDepositCount' end,
        case when nullif(extracted."total_deposit_count", '') is not null and "digits total_deposit_count" is null then 'total_deposit_count' end,
        case when nullif(extracted."totalWithdrawals", '') is not null and "digits totalWithdrawals" is null then 'totalWithdrawals' end,
        case when nullif(extracted."total_withdrawals", '') is not null and "digits total_withdrawals" is null then 'total_withdrawals' end,
        case when nullif(extracted."totalWithdrawalCount", '') is not null and "digits totalWithdrawalCount" is null then 'totalWithdrawalCount' end,
        case when nullif(extracted."total_withdrawal_count", '') is not null and "digits total_withdrawal_count" is null then 'total_withdrawal_count' end,
        case when nullif(extracted."activeCreatedPortfolios", '') is not null and "digits activeCreatedPortfolios" is null then 'activeCreatedPortfolios' end,
        case when nullif(extracted."active_created_portfolios", '') is not null and "digits active_created_portfolios" is null then 'active_created_portfolios' end,
        case when nullif(extracted."lifetimeCreatedPortfolios", '') is not null and "digits lifetimeCreatedPortfolios" is null then 'lifetimeCreatedPortfolios' end,
        case when nullif(extracted."lifetime_created_portfolios", '') is not null and "digits lifetime_created_portfolios" is null then 'lifetime_created_portfolios' end
    ], lambda name: name is not null) as bad_numbers,
    properties,
    storable,
    refused
from typed
