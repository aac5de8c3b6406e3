"""Speaks HTTP to Mixpanel: requests, retries, typed errors, and limits shared through Postgres."""
