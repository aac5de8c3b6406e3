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

-- A bucket's marks are found by it: all of them are taken with the first, and dashboards ask whether there are any.
create index on analytics_dirty_hours (project_id, hour_bucket);
create index on analytics_dirty_days (project_id, day);
create index on analytics_dirty_cards (user_code, day);

-- Rows that go from behind the floor (retention took them) leave no mark; rows that come there do, to be refused.
-- An update marks what the rows that it took away and the rows that it brought differ in, of the columns that
-- aggregates read: nothing for a sender's counters, or the time a session was last seen.
-- date_bin gives UTC's hours in half the time of date_trunc.
create function mark_analytics_hours()
returns trigger
language plpgsql
security definer
as $$
begin
    if tg_op = 'INSERT' then
        insert into analytics_dirty_hours (project_id, hour_bucket)
        select distinct project_id, date_bin('1 hour', created_at, 'epoch')
        from new_rows;
    elsif tg_op = 'DELETE' then
        insert into analytics_dirty_hours (project_id, hour_bucket)
        select distinct project_id, date_bin('1 hour', created_at, 'epoch')
        from old_rows
        where created_at >= (select raw_floor from analytics_retention);
    else
        with went as materialized (
            select project_id, date_bin('1 hour', created_at, 'epoch') as hour_bucket,
                event_type, nullif(event_label, '') as event_label, visitor_id, session_id
            from old_rows
        ), came as materialized (
            select project_id, date_bin('1 hour', created_at, 'epoch') as hour_bucket,
                event_type, nullif(event_label, '') as event_label, visitor_id, session_id
            from new_rows
        )
        insert into analytics_dirty_hours (project_id, hour_bucket)
        select project_id, hour_bucket from (select * from went except all select * from came) as only_went
        where hour_bucket >= (select raw_floor from analytics_retention)
        union
        select project_id, hour_bucket from (select * from came except all select * from went) as only_came;
    end if;
    return null;
end
$$;

-- The same for cards; the arguments are the column that says when, and those that aggregates read.
create function mark_analytics_cards()
returns trigger
language plpgsql
security definer
as $$
begin
    if tg_op = 'INSERT' then
        execute format(
            'insert into analytics_dirty_cards (user_code, day)
            select distinct user_code, (%I at time zone ''UTC'')::date from new_rows',
            tg_argv[0]
        );
    elsif tg_op = 'DELETE' then
        execute format(
            'insert into analytics_dirty_cards (user_code, day)
            select distinct user_code, (%1$I at time zone ''UTC'')::date from old_rows
            where %1$I >= (select raw_floor from analytics_retention)',
            tg_argv[0]
        );
    else
        execute format(
            'with went as materialized (
                select user_code, (%1$I at time zone ''UTC'')::date as day, %2$s from old_rows
            ), came as materialized (
                select user_code, (%1$I at time zone ''UTC'')::date as day, %2$s from new_rows
            )
            insert into analytics_dirty_cards (user_code, day)
            select user_code, day from (select * from went except all select * from came) as only_went
            where day >= (select (raw_floor at time zone ''UTC'')::date from analytics_retention)
            union
            select user_code, day from (select * from came except all select * from went) as only_came',
            tg_argv[0], tg_argv[1]
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
    referencing old table as old_rows new table as new_rows for each statement
    execute function mark_analytics_cards('first_seen', 'session_id, share_code, contact_id');
create trigger mark_deleted after delete on analytics_sessions
    referencing old table as old_rows for each statement execute function mark_analytics_cards('first_seen');

create trigger mark_inserted after insert on analytics_page_views
    referencing new table as new_rows for each statement execute function mark_analytics_cards('viewed_at');
create trigger mark_updated after update on analytics_page_views
    referencing old table as old_rows new table as new_rows for each statement
    execute function mark_analytics_cards('viewed_at', 'session_id, share_code, contact_id, page_type');
create trigger mark_deleted after delete on analytics_page_views
    referencing old table as old_rows for each statement execute function mark_analytics_cards('viewed_at');

create trigger mark_inserted after insert on analytics_clicks
    referencing new table as new_rows for each statement execute function mark_analytics_cards('clicked_at');
create trigger mark_updated after update on analytics_clicks
    referencing old table as old_rows new table as new_rows for each statement
    execute function mark_analytics_cards('clicked_at', 'session_id, share_code, contact_id, click_category, click_target');
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
