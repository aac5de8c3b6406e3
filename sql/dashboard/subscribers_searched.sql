-- A condition: the id has the text in it, large and small letters alike, or the profile does.
(strpos(lower(distinct_id), lower(%(search)s)) > 0 or distinct_id {profiles})
