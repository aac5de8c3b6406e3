"""Mixpanel's events kept exactly right in your own Postgres."""
