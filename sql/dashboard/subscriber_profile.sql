-- What Mixpanel's newest snapshot says of a person.
select properties, first_seen_at, changed_at, deleted_at from subscriber_profiles where distinct_id = %(id)s
