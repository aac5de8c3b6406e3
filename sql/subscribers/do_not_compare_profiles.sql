-- In place of compare_profiles.sql when that cannot run: everybody in the snapshot is written, and nobody is marked
-- deleted before a comparison says so.
create temporary table changed_profiles on commit drop as
select distinct_id, 'rewritten' as change, true as columns_differ, true as took_back from new_profiles;

create temporary table profile_differences (distinct_id text, property text, old_value jsonb, new_value jsonb) on commit drop;

analyze changed_profiles;
