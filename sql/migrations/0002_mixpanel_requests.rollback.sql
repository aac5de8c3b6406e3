drop function mixpanel_block_requests(bigint, text, double precision);
drop function mixpanel_take_request(bigint, text, integer, integer);
drop table mixpanel_rate_limits;
drop table mixpanel_requests;
