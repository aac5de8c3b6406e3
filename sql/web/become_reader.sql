-- For the rest of the transaction: a signed-in person, as the dashboard reads.
select
    set_config('request.jwt.claims', jsonb_build_object('sub', %(user_id)s::text, 'role', 'authenticated')::text, true),
    set_config('role', 'authenticated', true);
