"""Addresses in Dagster's UI, where there is one (setting DAGSTER_URL)."""

from urllib.parse import quote, urlencode

RAW_EVENTS = "mixpanel_raw_events"

# Where each check is shown; a test holds this against the definitions, which take seconds to load.
ASSET_OF_CHECK = {
    "add_equals_replace": "subscribers_insights_v2",
    "set_based_equals_loop": "subscribers_insights_v2",
    "contributions_equal_lake": "subscriber_daily_contributions",
    "no_quarantined_events": RAW_EVENTS,
    "events_lie_within_their_day": RAW_EVENTS,
    "partitions_follow_settings": RAW_EVENTS,
    "matches_mixpanel": RAW_EVENTS,
    "watermark_advances": "sync_watermarks",
    "sync_is_incremental": "sync_watermarks",
    "no_missing_partitions": "sync_watermarks",
    "profiles_equal_snapshot": "subscriber_profiles",
    "profiles_skip_unchanged": "subscriber_profiles",
    "hourly_is_fresh": "analytics_events_hourly_agg",
    "hourly_equals_raw": "analytics_events_hourly_agg",
    "daily_equals_raw": "analytics_events_daily_agg",
    "dashboard_is_fast": "analytics_events_daily_agg",
    "normalized_equals_legacy": "analytics_daily_user_stats",
}


class DagsterPages:
    """Pages by what they are of; without an address of Dagster's there are none."""

    def __init__(self, url: str | None) -> None:
        self._url = url

    def everywhere(self) -> dict[str, str]:
        """Pages that are always there, by name."""
        if self._url is None:
            return {}
        return {
            "assets": f"{self._url}/assets",
            "partitions": self._asset(RAW_EVENTS, view="partitions"),
            "runs": f"{self._url}/runs",
            "backfills": f"{self._url}/runs?view=backfills",
            "schedules and sensors": f"{self._url}/automation",
        }

    def check(self, name: str) -> str | None:
        """What the check found, with the rows that differ."""
        if self._url is None or name not in ASSET_OF_CHECK:
            return None
        return self._asset(ASSET_OF_CHECK[name], view="checks", checkDetail=name)

    def _asset(self, key: str, **query: str) -> str:
        return f"{self._url}/assets/{quote(key, safe='')}?{urlencode(query)}"
