-- Mixpanel's request limits, kept here so that all runs of a project, on all machines, share them
-- (reference/mixpanel.md A1.7: 60 requests in a rolling hour and 3 a second, per project and API).

create table mixpanel_requests (
    id bigint generated always as identity primary key,
    project_id bigint not null,
    api text not null,
    requested_at timestamptz not null
);
create index mixpanel_requests_window on mixpanel_requests (project_id, api, requested_at);
comment on table mixpanel_requests is 'Requests sent to Mixpanel in the last hour; older rows are pruned.';

create table mixpanel_rate_limits (
    project_id bigint not null,
    api text not null,
    blocked_until timestamptz not null,
    primary key (project_id, api)
);
comment on table mixpanel_rate_limits is
    'Until when Mixpanel asked a project to wait (a 429). Delete the row to try sooner.';

-- Records a request and returns wait_seconds 0 when it may be sent now; else records nothing and returns how
-- long to wait and why: 'blocked' (Mixpanel asked for it), 'hour' or 'second'.
--
-- Both windows are a little longer than Mixpanel's. It counts when requests arrive, we when they leave: the
-- 61st on a warm connection could overtake the first on a slow one by the seconds that connecting took, and a
-- request that trips the hourly limit costs up to an hour of waiting.
create function mixpanel_take_request(
    p_project_id bigint, p_api text, p_per_hour integer, p_per_second integer,
    out wait_seconds double precision, out reason text
)
language plpgsql
as $$
declare
    hour_window constant interval := interval '1 hour 10 seconds';
    second_window constant interval := interval '1.2 seconds';
    moment timestamptz;
    free_at timestamptz;
begin
    -- One at a time per project and API; the clock is read behind the lock, for now() is when this began to wait.
    perform pg_advisory_xact_lock(hashtextextended('mixpanel_requests ' || p_api, p_project_id));
    moment := clock_timestamp();

    select candidates.free_at, candidates.reason into free_at, reason
    from (
        select blocked_until as free_at, 'blocked' as reason
        from mixpanel_rate_limits
        where project_id = p_project_id and api = p_api
        union all
        -- The 60th newest request: when it leaves the window, 59 are left in it.
        (select requested_at + hour_window, 'hour'
         from mixpanel_requests
         where project_id = p_project_id and api = p_api
         order by requested_at desc offset p_per_hour - 1 limit 1)
        union all
        (select requested_at + second_window, 'second'
         from mixpanel_requests
         where project_id = p_project_id and api = p_api
         order by requested_at desc offset p_per_second - 1 limit 1)
    ) as candidates
    where candidates.free_at > moment
    order by candidates.free_at desc
    limit 1;

    if found then
        wait_seconds := extract(epoch from free_at - moment);
        return;
    end if;

    delete from mixpanel_requests
    where project_id = p_project_id and api = p_api and requested_at <= moment - hour_window;
    insert into mixpanel_requests (project_id, api, requested_at) values (p_project_id, p_api, moment);
    wait_seconds := 0;
end
$$;

-- After a 429: no run of the project sends a request for so many seconds. Of two such waits the longer counts.
create function mixpanel_block_requests(p_project_id bigint, p_api text, p_seconds double precision)
returns void
language sql
as $$
    insert into mixpanel_rate_limits (project_id, api, blocked_until)
    values (p_project_id, p_api, clock_timestamp() + make_interval(secs => p_seconds))
    on conflict (project_id, api) do update
    set blocked_until = greatest(mixpanel_rate_limits.blocked_until, excluded.blocked_until)
$$;

-- Functions are everybody's unless taken away.
revoke all on function mixpanel_take_request(bigint, text, integer, integer) from public;
revoke all on function mixpanel_block_requests(bigint, text, double precision) from public;
