-- Every write to a raw table marks the buckets it touched, in its own transaction: what commits is counted, what
-- rolls back is not. The queues only grow until aggregation takes from them; a key on the bucket would make writers
-- wait for each other. TRUNCATE and writes to a partition itself leave no mark: nobody is granted either, and
-- reconciliation finds them.

create table analytics_dirty_hours (
    id bigint generated always as identity primary key,
    project_id text not null,
    hour_bucket timestamptz not null
);

-- Filled by the hourly aggregation, from the hours it took.
create table analytics_dirty_days (
    id bigint generated always as identity primary key,
    project_id text not null,
    day date not null
);

create table analytics_dirty_cards (
    id bigint generated always as identity primary key,
    user_code text not null,
    day date not null
);

-- Rows that go from behind the floor (retention took them) leave no mark; rows that come there do, to be refused.
-- date_bin gives UTC's hours in half the time of date_trunc.
create function mark_analytics_hours()
returns trigger
language plpgsql
security definer
as $$
begin
    if tg_op in ('DELETE', 'UPDATE') then
        insert into analytics_dirty_hours (project_id, hour_bucket)
        select distinct project_id, date_bin('1 hour', created_at, 'epoch')
        from old_rows
        where created_at >= (select raw_floor from analytics_retention);
    end if;
    if tg_op in ('INSERT', 'UPDATE') then
        insert into analytics_dirty_hours (project_id, hour_bucket)
        select distinct project_id, date_bin('1 hour', created_at, 'epoch')
        from new_rows;
    end if;
    return null;
end
$$;

-- The same for cards; the argument is the column that says when.
create function mark_analytics_cards()
returns trigger
language plpgsql
security definer
as $$
begin
    if tg_op in ('DELETE', 'UPDATE') then
        execute format(
            'insert into analytics_dirty_cards (user_code, day)
            select distinct user_code, (%1$I at time zone ''UTC'')::date from old_rows
            where %1$I >= (select raw_floor from analytics_retention)',
            tg_argv[0]
        );
    end if;
    if tg_op in ('INSERT', 'UPDATE') then
        execute format(
            'insert into analytics_dirty_cards (user_code, day)
            select distinct user_code, (%I at time zone ''UTC'')::date from new_rows',
            tg_argv[0]
        );
    end if;
    return null;
end
$$;

-- A trigger with transition tables may name one event only.
create trigger mark_inserted after insert on analytics_events
    referencing new table as new_rows for each statement execute function mark_analytics_hours();
create trigger mark_updated after update on analytics_events
    referencing old table as old_rows new table as new_rows for each statement execute function mark_analytics_hours();
create trigger mark_deleted after delete on analytics_events
    referencing old table as old_rows for each statement execute function mark_analytics_hours();

create trigger mark_inserted after insert on analytics_sessions
    referencing new table as new_rows for each statement execute function mark_analytics_cards('first_seen');
create trigger mark_updated after update on analytics_sessions
    referencing old table as old_rows new table as new_rows for each statement execute function mark_analytics_cards('first_seen');
create trigger mark_deleted after delete on analytics_sessions
    referencing old table as old_rows for each statement execute function mark_analytics_cards('first_seen');

create trigger mark_inserted after insert on analytics_page_views
    referencing new table as new_rows for each statement execute function mark_analytics_cards('viewed_at');
create trigger mark_updated after update on analytics_page_views
    referencing old table as old_rows new table as new_rows for each statement execute function mark_analytics_cards('viewed_at');
create trigger mark_deleted after delete on analytics_page_views
    referencing old table as old_rows for each statement execute function mark_analytics_cards('viewed_at');

create trigger mark_inserted after insert on analytics_clicks
    referencing new table as new_rows for each statement execute function mark_analytics_cards('clicked_at');
create trigger mark_updated after update on analytics_clicks
    referencing old table as old_rows new table as new_rows for each statement execute function mark_analytics_cards('clicked_at');
create trigger mark_deleted after delete on analytics_clicks
    referencing old table as old_rows for each statement execute function mark_analytics_cards('clicked_at');

-- Whoever may write a raw table marks by it, without rights on the queues (security definer).
select close_analytics(
    array['analytics_dirty_hours', 'analytics_dirty_days', 'analytics_dirty_cards']::regclass[],
    array['mark_analytics_hours()', 'mark_analytics_cards()']::regprocedure[]
);

comment on table analytics_dirty_hours is 'Project-hours written to since they were last aggregated.';
comment on table analytics_dirty_days is 'Project-days whose hours were aggregated since the day was.';
comment on table analytics_dirty_cards is 'Card-days written to since they were last aggregated.';
