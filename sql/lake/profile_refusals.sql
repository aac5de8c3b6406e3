-- DuckDB: who, or which field of whom, cannot be kept, and why. Variable `staged`: the file of
-- sql/lake/exported_profiles.sql.
with staged as (
    select distinct_id, subscriber_id, anonymous, refused, bad_numbers, properties,
        row_number() over (partition by subscriber_id order by distinct_id, properties::varchar) as copy
    from read_parquet(getvariable('staged'), hive_partitioning = false)
),
refused as (
    select distinct_id, null::varchar as field,
        case
            when refused is not null then refused
            when coalesce(distinct_id, '') = '' then 'expected a text as $distinct_id, got none'
            when subscriber_id is null then 'the id is longer than 2,000 bytes'
            else 'another profile has the same id once NUL characters and half surrogates are replaced'
        end as reason
    from staged
    where not anonymous and (subscriber_id is null or copy > 1)
    union all
    select distinct_id, field,
        'expected a number, got ' || left(json_extract(properties, '$."' || field || '"')::varchar, 200)
    from (
        select distinct_id, unnest(bad_numbers) as field, properties
        from staged
        where subscriber_id is not null and copy = 1
    )
)
select left(distinct_id, 200) as distinct_id, field, reason from refused order by 1, 2, 3
