-- What Mixpanel's profiles (Engage) say of people, when that changed, and the snapshots it was read from.

create table subscriber_profiles (
    distinct_id text primary key,
    income text,
    net_worth text,
    investing_activity text,
    investing_experience_years text,
    investing_objective text,
    investment_type text,
    acquisition_survey text,
    available_copy_credits numeric,
    buying_power numeric,
    total_deposits numeric,
    total_deposit_count numeric,
    total_withdrawals numeric,
    total_withdrawal_count numeric,
    active_created_portfolios numeric,
    lifetime_created_portfolios numeric,
    properties jsonb not null,             -- everything that Mixpanel said, less what Postgres has no character for
    first_seen_at timestamptz not null,    -- the snapshot that first had this person
    changed_at timestamptz not null,       -- the snapshot that first had these properties: all of them are as new as that
    deleted_at timestamptz                 -- the first complete snapshot without this person; null: still there
) with (fillfactor = 80);                  -- room to update a row where it lies

-- What changed, from, to, when. A person who came, went or came back has one row without a property.
create table subscriber_profile_changes (
    id bigint generated always as identity primary key,
    distinct_id text not null,
    changed_at timestamptz not null,
    change text not null check (change in ('new', 'changed', 'deleted', 'restored')),
    property text,
    old_value jsonb,
    new_value jsonb
);
create index subscriber_profile_changes_by_person on subscriber_profile_changes (distinct_id, changed_at);

-- The manifest of snapshots: which file of the lake holds what Mixpanel said when. Of old ones only the figures stay.
create table profile_snapshots (
    taken_at timestamptz primary key,      -- before the first page was asked for
    file text,
    refused_file text,                     -- JSON lines: distinct_id, field, reason
    bytes bigint not null,
    content_sha256 text not null,
    recipe text not null,                  -- the catalog that the columns were extracted with
    people bigint not null,                -- whose profiles are kept, less the two that follow
    anonymous bigint not null,             -- $device: ids, which count for nobody
    refused bigint not null,               -- people that cannot be kept
    bad_values bigint not null,            -- values of number properties that are no numbers
    pages bigint not null,
    queries bigint not null,
    wire_bytes bigint not null
);
