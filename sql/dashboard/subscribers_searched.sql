-- A condition: id, or the profile's name or address, has the text in it, large and small letters alike.
(
    strpos(lower(distinct_id), lower(%(search)s)) > 0
    or distinct_id in (
        select distinct_id from subscriber_profiles
        where strpos(lower(concat_ws(' ', properties ->> '$name', properties ->> '$email')), lower(%(search)s)) > 0
    )
)
