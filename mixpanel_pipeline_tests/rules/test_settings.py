"""Settings: one line for a value that cannot be used, no secret anywhere, a start date that stays."""

import os
import subprocess
import sys
import traceback
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mixpanel_pipeline.settings import DEFAULT_HISTORY_DAYS, PROJECT_ROOT, Settings, SettingsError, load_settings

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of ours, and no `.env` of whoever runs the tests."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MIXPANEL_PROJECT_ID", "my project", "it takes the project's number"),
        ("MIXPANEL_RESIDENCY", "mars", "us, eu or in"),
        ("MIXPANEL_PROJECT_ID", "0", "it takes the project's number"),
        ("MIXPANEL_DATA_URL", "data.mixpanel.com", "starts with https:// and names a host"),
        ("MIXPANEL_DATA_URL", "https://", "names a host"),
        ("MIXPANEL_DATA_URL", "https://[::1", "names a host"),
        ("MIXPANEL_QUERY_URL", "ftp://mixpanel.com", "starts with https://"),
        ("MIXPANEL_TIMEZONE", "Mars/Olympus", "an IANA time zone such as UTC or America/New_York"),
        ("MIXPANEL_TIME_MODE", "local", "utc, or project"),
        ("MIXPANEL_EVENTS", "some", "tracked (the catalog's events) or all"),
        ("MIXPANEL_START_DATE", "2025-13-01", "YYYY-MM-DD"),
        ("MIXPANEL_START_DATE", "last week", "YYYY-MM-DD"),
        ("SYNC_WINDOW_DAYS", "0", "a number from 1"),
        ("SYNC_WINDOW_DAYS", "many", "a number from 1"),
        ("SYNC_OVERLAP_HOURS", "-1", "a number from 0"),
        ("SYNC_EVENTS_WARNING", "0", "a number from 1"),
        ("SYNC_SECONDS_WARNING", "soon", "a number from 1"),
        ("WATERMARK_HOURS_WARNING", "0", "a number from 1"),
        ("WEB_START_DATE", "last week", "YYYY-MM-DD"),
        ("WEB_RETENTION_DAYS", "0", "a number from 1"),
        ("COLLECTOR_BODY_BYTES", "1000", "from 1024 to 16777216"),
        ("COLLECTOR_REQUESTS_PER_ADDRESS", "0", "a number from 1"),
        ("COLLECTOR_REQUESTS_PER_KEY", "few", "a number from 1"),
        ("COLLECTOR_QUEUE_EVENTS", "499", "a number from 500"),
        ("COLLECTOR_QUEUE_BYTES", "0", "a number from 16777216"),
        ("COLLECTOR_IP_ADDRESSES", "hash", "drop (nothing), truncate"),
        ("COLLECTOR_BOTS", "maybe", "refuse (counted, not stored) or store"),
        ("DASHBOARD_STATEMENT_SECONDS", "0", "a number of seconds from 1 to 300"),
        ("DAGSTER_URL", "dagster.example.com", "an address that starts with https:// and names a host"),
    ],
)
def test_one_line_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    message = str(raised.value)
    assert message.startswith(f"{name}: got {value!r}; it takes ")
    assert expected in message
    assert "\n" not in message


def test_a_proxy_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("*", "10.0.0.0/8, proxy", "10.0.0.0/33", ","):
        monkeypatch.setenv("COLLECTOR_TRUSTED_PROXIES", value)
        with pytest.raises(
            SettingsError, match=r"^COLLECTOR_TRUSTED_PROXIES: got .*, which names '.*', no address or network"
        ):
            load_settings()
    monkeypatch.setenv("COLLECTOR_TRUSTED_PROXIES", "10.0.0.5/8, 2001:db8::1")
    assert load_settings().collector_trusted_proxies == "10.0.0.0/8,2001:db8::1/128"


def test_a_jwt_secret_that_is_too_short_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_JWT_SECRET", "ä" * 15 + "z")
    with pytest.raises(SettingsError, match=r"got a value .not shown., which has fewer than 32 bytes"):
        load_settings()
    monkeypatch.setenv("DASHBOARD_JWT_SECRET", "ä" * 16)
    assert load_settings().dashboard_jwt_secret is not None


def test_a_start_date_in_the_future(monkeypatch: pytest.MonkeyPatch) -> None:
    later = datetime.now(UTC).date() + timedelta(days=2)
    monkeypatch.setenv("MIXPANEL_START_DATE", str(later))
    expected = (
        f"MIXPANEL_START_DATE: got '{later}', which lies in the future; it takes first daily partition, YYYY-MM-DD"
    )
    with pytest.raises(SettingsError, match=expected):
        load_settings()


@pytest.mark.parametrize(
    "address",
    [
        f"mysql://root:{SECRET}@db/x",
        f"host=db password={SECRET}",
        f"postgresql://root:{SECRET}/1@db/x",
        f"postgresql://root:{SECRET}@1@db/x",
        f"postgresql://root:{SECRET}%@db/x",
    ],
)
def test_a_database_address_that_cannot_be_used_is_not_shown(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DATABASE_URL", address)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert str(raised.value).startswith("DATABASE_URL: got a value (not shown), which ")
    assert "percent-encoded" in str(raised.value)
    assert SECRET not in "".join(traceback.format_exception(raised.value))


SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        (SLACK, [SLACK]),
        (f"{SLACK} jsons://h/{SECRET}", [SLACK, f"jsons://h/{SECRET}"]),
        (f"{SLACK}, jsons://h/a;\njson://h/b,", [SLACK, "jsons://h/a", "json://h/b"]),
        ("mailto://me:x@example.com?to=a@example.com,b@example.com", None),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", None),
        (f"{SLACK}/#alerts", None),
        (" , ", []),
    ],
)
def test_alert_addresses_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, text: str, addresses: list[str] | None
) -> None:
    monkeypatch.setenv("ALERT_URLS", text)
    assert load_settings().alert_addresses == ([text] if addresses is None else addresses)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (SECRET, "1"),
        (f"nonsense://{SECRET}", "1"),
        (f"https://example.com/{SECRET}", "1"),
        (f"{SECRET} {SLACK}", "1"),
        (f"{SLACK} slack://{SECRET}", "2"),
        (f"slack://{SECRET}, {SLACK}, json://h {SECRET}", "1, 3"),
    ],
)
def test_an_alert_address_that_apprise_does_not_know_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], text: str, places: str
) -> None:
    monkeypatch.setenv("ALERT_URLS", text)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    expected = (
        f"ALERT_URLS: got a value (not shown), which has no address that Apprise knows at place {places}; it takes "
    )
    assert str(raised.value).startswith(expected)
    assert "\n" not in str(raised.value)
    said = capfd.readouterr()
    for shown in ("".join(traceback.format_exception(raised.value)), said.out, said.err):
        assert SECRET not in shown


def test_apprise_is_loaded_only_where_alerts_go_somewhere() -> None:
    statement = "import sys; from mixpanel_pipeline.settings import load_settings; load_settings(); {}"
    for name, loaded in (("", False), ("json://h", True)):
        check = statement.format(f"assert ('apprise' in sys.modules) is {loaded}")
        environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "ALERT_URLS": name}
        subprocess.run([sys.executable, "-c", check], env=environment, check=True)


def test_secrets_are_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXPANEL_SECRET", SECRET)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{SECRET}@db/x")
    monkeypatch.setenv("ALERT_URLS", f"json://h/{SECRET}")
    settings = load_settings()
    assert settings.mixpanel_secret is not None
    assert settings.mixpanel_secret.get_secret_value() == SECRET
    for text in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert SECRET not in text


def test_an_error_of_another_variable_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXPANEL_SECRET", SECRET)
    monkeypatch.setenv("MIXPANEL_RESIDENCY", "mars")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert SECRET not in str(raised.value)


def test_a_home_that_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(SettingsError, match="it takes a directory that can be made and written"):
        load_settings().make_home()
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "loop" / "home"))
    with pytest.raises(SettingsError, match="it takes a directory that can be made and written"):
        load_settings().make_home()


def test_the_start_date_is_chosen_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load_settings().expected_start_date == datetime.now(UTC).date() - timedelta(days=DEFAULT_HISTORY_DAYS)
    assert not (tmp_path / "home").exists()
    chosen = load_settings().start_date
    assert chosen == datetime.now(UTC).date() - timedelta(days=DEFAULT_HISTORY_DAYS)
    (tmp_path / "home" / "mixpanel_start_date").write_text("2024-02-29\n")
    assert load_settings().start_date == date(2024, 2, 29)
    monkeypatch.setenv("MIXPANEL_START_DATE", "2025-01-01")
    assert load_settings().start_date == date(2025, 1, 1)


def test_a_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MIXPANEL_RESIDENCY=eu\nMIXPANEL_PROJECT_ID=7\nUNKNOWN=1\nMIXPANEL_USERNAME=\n")
    monkeypatch.setenv("MIXPANEL_PROJECT_ID", "8")
    settings = load_settings()
    assert (settings.mixpanel_residency, settings.mixpanel_project_id) == ("eu", 8)
    assert settings.mixpanel_username is None


def test_an_error_in_the_file_is_told_the_same_way(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SYNC_WINDOW_DAYS=many\n")
    with pytest.raises(SettingsError, match="SYNC_WINDOW_DAYS: got 'many'; it takes "):
        load_settings()


def test_the_day_follows_the_time_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXPANEL_TIMEZONE", "America/New_York")
    assert load_settings().day_zone.key == "UTC"
    monkeypatch.setenv("MIXPANEL_TIME_MODE", "project")
    assert load_settings().day_zone.key == "America/New_York"


def test_urls_lose_their_last_slash_and_home_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIXPANEL_DATA_URL", "https://data.example.com/")
    monkeypatch.setenv("PIPELINE_HOME", "here")
    settings = load_settings()
    assert settings.mixpanel_data_url == "https://data.example.com"
    assert settings.pipeline_home == tmp_path / "here"
    assert settings.lake_address == str(tmp_path / "here" / "lake")
