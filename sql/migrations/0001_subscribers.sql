-- Raw partitions' manifest, subscribers' contributions and totals, watermarks, sync log (spec sections 4 and 5).

create table raw_partitions (
    export_day date primary key,
    file text not null,                    -- under LAKE_URL; a file that no row names is garbage
    quarantine_file text,
    recipe text not null,                  -- catalog, time mode and event filter it was made with
    wire_sha256 text not null,             -- of the bytes as fetched: the same bytes need no second proof
    content_hash text not null,            -- of the set of events, whatever their order
    rows bigint not null,
    users bigint not null,
    duplicates bigint not null,
    quarantined bigint not null,
    repaired bigint not null,
    bad_values bigint not null,
    outside_day bigint not null,
    ambiguous_times bigint not null,       -- wall clock hours that occurred twice; the first was taken
    shifted_times bigint not null,         -- wall clock hours that never were; moved forward
    bytes bigint not null,
    newest_processing_ms bigint,
    first_event_time timestamptz,
    last_event_time timestamptz,
    fetched_at timestamptz not null
);

create table subscriber_daily_contributions (
    export_day date not null,
    distinct_id text not null,
    total_copies bigint not null default 0,
    total_pdp_views bigint not null default 0,
    total_creator_profile_views bigint not null default 0,
    total_ach_transfers bigint not null default 0,
    paywall_views bigint not null default 0,
    total_subscriptions bigint not null default 0,
    app_sessions bigint not null default 0,
    discover_tab_views bigint not null default 0,
    stripe_modal_views bigint not null default 0,
    creator_card_taps bigint not null default 0,
    portfolio_card_taps bigint not null default 0,
    linked_bank_account boolean not null default false,
    income text,
    income_at timestamptz,
    net_worth text,
    net_worth_at timestamptz,
    investing_activity text,
    investing_activity_at timestamptz,
    investing_experience_years text,
    investing_experience_years_at timestamptz,
    investing_objective text,
    investing_objective_at timestamptz,
    investment_type text,
    investment_type_at timestamptz,
    acquisition_survey text,
    acquisition_survey_at timestamptz,
    available_copy_credits numeric,
    available_copy_credits_at timestamptz,
    buying_power numeric,
    buying_power_at timestamptz,
    total_deposits numeric,
    total_deposits_at timestamptz,
    total_deposit_count numeric,
    total_deposit_count_at timestamptz,
    total_withdrawals numeric,
    total_withdrawals_at timestamptz,
    total_withdrawal_count numeric,
    total_withdrawal_count_at timestamptz,
    active_created_portfolios numeric,
    active_created_portfolios_at timestamptz,
    lifetime_created_portfolios numeric,
    lifetime_created_portfolios_at timestamptz,
    events_processed bigint not null,
    first_event_time timestamptz not null,
    last_event_time timestamptz not null,
    primary key (export_day, distinct_id)
);
-- Recomputing one person reads that person's days.
create index subscriber_daily_contributions_by_person on subscriber_daily_contributions (distinct_id);

create table subscribers_insights_v2 (
    distinct_id text primary key,
    total_copies bigint not null default 0,
    total_pdp_views bigint not null default 0,
    total_creator_profile_views bigint not null default 0,
    total_ach_transfers bigint not null default 0,
    paywall_views bigint not null default 0,
    total_subscriptions bigint not null default 0,
    app_sessions bigint not null default 0,
    discover_tab_views bigint not null default 0,
    stripe_modal_views bigint not null default 0,
    creator_card_taps bigint not null default 0,
    portfolio_card_taps bigint not null default 0,
    linked_bank_account boolean not null default false,
    income text,
    income_at timestamptz,
    net_worth text,
    net_worth_at timestamptz,
    investing_activity text,
    investing_activity_at timestamptz,
    investing_experience_years text,
    investing_experience_years_at timestamptz,
    investing_objective text,
    investing_objective_at timestamptz,
    investment_type text,
    investment_type_at timestamptz,
    acquisition_survey text,
    acquisition_survey_at timestamptz,
    available_copy_credits numeric,
    available_copy_credits_at timestamptz,
    buying_power numeric,
    buying_power_at timestamptz,
    total_deposits numeric,
    total_deposits_at timestamptz,
    total_deposit_count numeric,
    total_deposit_count_at timestamptz,
    total_withdrawals numeric,
    total_withdrawals_at timestamptz,
    total_withdrawal_count numeric,
    total_withdrawal_count_at timestamptz,
    active_created_portfolios numeric,
    active_created_portfolios_at timestamptz,
    lifetime_created_portfolios numeric,
    lifetime_created_portfolios_at timestamptz,
    events_processed bigint not null default 0,
    first_event_time timestamptz,
    last_event_time timestamptz,
    updated_at timestamptz not null default now()
) with (fillfactor = 80);                  -- room to update a row where it lies

create table sync_watermarks (
    source text primary key,
    last_event_time timestamptz,
    total_events_synced bigint not null default 0,
    last_synced_at timestamptz not null default now(),
    notes text
);

create table sync_logs (
    id bigint generated always as identity primary key,
    source text not null,
    mode text not null,
    status text not null check (status in ('running', 'completed', 'failed')),
    created_at timestamptz not null default now(),
    completed_at timestamptz,
    error text,
    sync_metadata jsonb not null default '{}'
);
create index sync_logs_newest on sync_logs (source, created_at desc);

-- Past days that a late sweep found events for, until the day is materialized again.
create table late_days (
    export_day date primary key,
    events bigint not null,
    found_at timestamptz not null default clock_timestamp()
);

create table late_sweeps (
    source text primary key,
    swept_until_ms bigint not null,        -- Mixpanel's processing time, milliseconds since 1970
    swept_at timestamptz not null default now()
);
