drop view analytics_legacy_actions;
drop function analytics_ip_address(text);
