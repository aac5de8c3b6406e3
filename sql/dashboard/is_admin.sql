-- Whether the reader sees everything.
select analytics_is_admin();
