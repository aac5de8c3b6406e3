-- Roles stay: other databases may use them. Of the rest goes what the migration made.
do $$
declare
    made record;
begin
    for made in
        select polname, polrelid::regclass as name from pg_policy
        where polname in ('own_projects', 'own_cards', 'own_members', 'everybody_signed_in', 'service')
            and polrelid in (
                select oid from pg_class
                where relnamespace = (select relnamespace from pg_class where oid = 'analytics_events'::regclass)
                    and (relname ~ '^analytics_' or obj_description(oid, 'pg_class') ~ 'Made by mixpanel-pipeline\.$')
            )
    loop
        execute format('drop policy %I on %s', made.polname, made.name);
    end loop;
    for made in
        select oid::regclass as name, relkind from pg_class
        where relnamespace = (select relnamespace from pg_class where oid = 'analytics_events'::regclass)
            and relname ~ '^analytics_' and relkind in ('r', 'p', 'v') and not relispartition
    loop
        execute format('revoke all on %s from anon, authenticated, service_role', made.name);
        if made.relkind <> 'v' then
            execute format('alter table %s disable row level security', made.name);
        end if;
    end loop;
    for made in
        select oid::regprocedure as name from pg_proc
        where pronamespace = (select relnamespace from pg_class where oid = 'analytics_events'::regclass)
            and proname ~ '(^|_)analytics(_|$)|^(backfill_aggregates|cleanup_old_raw_events)$'
    loop
        execute format('revoke all on function %s from anon, authenticated, service_role', made.name);
    end loop;
end
$$;

drop function analytics_is_admin();
drop function analytics_my_projects();
drop function analytics_my_cards();

do $$
declare
    name text;
begin
    foreach name in array array['account', 'project', 'account_collaborator', 'admin_users', 'card_owner'] loop
        if obj_description(to_regclass(name), 'pg_class') ~ 'Made by mixpanel-pipeline\.$' then
            execute format('drop table %I', name);
        end if;
    end loop;
    if obj_description(to_regprocedure('auth.uid()'), 'pg_proc') ~ 'Made by mixpanel-pipeline\.$' then
        drop function auth.uid();
        begin
            drop schema auth;
        exception when dependent_objects_still_exist then null;         -- somebody else's things are in it
        end;
    end if;
end
$$;
