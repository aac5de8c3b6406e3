"""Environment → Settings; nothing else reads the environment (spec section 2)."""

import os
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mixpanel_pipeline.alert_addresses import places_of_unusable, split_addresses

PROJECT_ROOT = Path(__file__).resolve().parent.parent

# How far back the first daily partition lies when MIXPANEL_START_DATE is not set.
DEFAULT_HISTORY_DAYS = 90

# As long as what HS256 makes of it: a shorter one is the weakest part (RFC 7518, 3.2).
SHORTEST_JWT_SECRET = 32

HOME_TAKES = "takes a directory that can be made and written"


class SettingsError(Exception):
    """A variable has a value that cannot be used; the message is one line naming it, its value and what it takes."""


class Settings(BaseSettings):
    """Every setting of the pipeline; each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        env_ignore_empty=True,
        frozen=True,
        hide_input_in_errors=True,
    )

    pipeline_home: Path = Field(
        default=PROJECT_ROOT / ".pipeline",
        description="directory for state on disk: embedded Postgres, lake, Dagster's logs",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="Postgres 15 or newer, as postgresql://user:password@host:port/database, with / : @ # ? % and "
        "spaces in the password percent-encoded; "
        "unset: an embedded Postgres under PIPELINE_HOME",
    )
    lake_url: str | None = Field(
        default=None,
        description="where raw partitions live: a directory or an fsspec address such as s3://bucket/prefix; "
        "unset: PIPELINE_HOME/lake",
    )
    mixpanel_project_id: int | None = Field(default=None, gt=0, description="the project's number, e.g. 2195193")
    mixpanel_username: str | None = Field(default=None, description="the service account's user name")
    mixpanel_secret: SecretStr | None = Field(default=None, description="the service account's secret")
    mixpanel_residency: Literal["us", "eu", "in"] = Field(
        default="us", description="where Mixpanel keeps the project's data: us, eu or in"
    )
    mixpanel_data_url: str | None = Field(
        default=None, description="https address in place of the residency's, for the Export API"
    )
    mixpanel_query_url: str | None = Field(
        default=None, description="https address in place of the residency's, for the Query API"
    )
    mixpanel_timezone: str = Field(default="UTC", description="the project's IANA time zone, e.g. America/New_York")
    mixpanel_time_mode: Literal["utc", "project"] = Field(
        default="utc",
        description="utc, or project for projects created before 2023, whose times are wall clock written as epochs",
    )
    mixpanel_events: Literal["tracked", "all"] = Field(
        default="tracked", description="tracked (the catalog's events) or all"
    )
    mixpanel_start_date: date | None = Field(
        default=None,
        description="first daily partition, YYYY-MM-DD, not in the future; "
        "unset: 90 days before the first use, then kept",
    )
    sync_window_days: int = Field(
        default=45, ge=1, le=3660, description="days of the first sync: a number from 1 to 3660"
    )
    sync_overlap_hours: int = Field(
        default=2,
        ge=0,
        le=24 * 90,
        description="hours behind the watermark that are fetched again: a number from 0 to 2160",
    )
    sync_events_warning: int = Field(
        default=50_000,
        ge=1,
        description="sync_is_incremental warns above so many new events in one sync: a number from 1",
    )
    sync_seconds_warning: int = Field(
        default=60, ge=1, description="sync_is_incremental warns above so many seconds for one day: a number from 1"
    )
    watermark_hours_warning: int = Field(
        default=6,
        ge=1,
        description="watermark_advances fails when the watermark is so many hours behind: a number from 1",
    )
    web_start_date: date | None = Field(
        default=None,
        description="first hourly and daily partition of the web aggregates, YYYY-MM-DD (UTC), not in the future; "
        "unset: as MIXPANEL_START_DATE",
    )
    web_retention_days: int = Field(
        default=90,
        ge=1,
        le=3660,
        description="days that raw web rows are kept, by whole weeks; aggregates stay: a number from 1 to 3660",
    )
    collector_body_bytes: int = Field(
        default=524_288,
        ge=1024,
        le=16_777_216,
        description="largest body that the collector takes, unpacked too: a number of bytes from 1024 to 16777216",
    )
    collector_requests_per_address: int = Field(
        default=600,
        ge=1,
        description="requests a minute that a collector process takes from one address: a number from 1",
    )
    collector_requests_per_key: int = Field(
        default=60_000,
        ge=1,
        description="requests a minute that a collector process takes with one write key: a number from 1",
    )
    collector_queue_events: int = Field(
        default=20_000,
        ge=500,
        description="events that may wait in a collector process to be stored; above it senders are told to come "
        "again: a number from 500",
    )
    collector_queue_bytes: int = Field(
        default=67_108_864,
        ge=16_777_216,
        description="the same in bytes, and as many again of bodies that are being read: a number from 16777216",
    )
    collector_ip_addresses: Literal["drop", "truncate", "keep"] = Field(
        default="drop",
        description="what a session keeps of its address: drop (nothing), truncate (a network of 24 bits, IPv6 48) or "
        "keep",
    )
    collector_bots: Literal["refuse", "store"] = Field(
        default="refuse",
        description="events whose user agent is missing or a known crawler's or program's: refuse (counted, not "
        "stored) or store",
    )
    collector_trusted_proxies: str | None = Field(
        default=None,
        description="addresses or networks of proxies whose X-Forwarded-For is believed, with commas between; "
        "unset: none",
    )
    dashboard_jwt_secret: SecretStr | None = Field(
        default=None,
        description="what signs the tokens of the dashboard's readers (HS256; Supabase: the project's JWT secret), at "
        "least 32 bytes; unset: the dashboard is not served",
    )
    dashboard_statement_seconds: int = Field(
        default=10,
        ge=1,
        le=300,
        description="how long Postgres may take for a query of the dashboard: a number of seconds from 1 to 300",
    )
    dagster_url: str | None = Field(
        default=None,
        description="address of Dagster's page, e.g. https://dagster.example.com, for links from the health page; "
        "unset: `up` and `demo` know their own, else no links",
    )
    alert_urls: SecretStr | None = Field(
        default=None,
        description="addresses that alerts go to, as Apprise writes them (https://github.com/caronc/apprise/wiki), "
        "such as slack://… mailtos://… jsons://host/path, several with spaces, commas or line ends between; "
        "unset: alerts are logged only",
    )

    @field_validator("mixpanel_timezone")
    @classmethod
    def _known_time_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("takes an IANA time zone such as UTC or America/New_York")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return value
        scheme, separator, rest = value.get_secret_value().partition("://")
        authority = rest.split("/")[0]
        try:
            database = conninfo_to_dict(value.get_secret_value()).get("dbname") or ""
        except ProgrammingError:
            raise ValueError("is no address that libpq reads") from None
        if scheme not in ("postgresql", "postgres") or not separator:
            raise ValueError("is no postgresql:// address")
        if authority.count("@") > 1 or "@" in str(database):
            raise ValueError("has a / or @ that is not percent-encoded")
        return value

    @field_validator("dashboard_jwt_secret")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < SHORTEST_JWT_SECRET:
            raise ValueError(f"has fewer than {SHORTEST_JWT_SECRET} bytes")
        return value

    @field_validator("mixpanel_data_url", "mixpanel_query_url", "dagster_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value and not _names_http_host(value):
            raise ValueError("takes an address that starts with https:// and names a host")
        return value.rstrip("/") if value else value

    @field_validator("alert_urls")
    @classmethod
    def _apprise_knows_them(cls, value: SecretStr | None) -> SecretStr | None:
        unusable = places_of_unusable(value.get_secret_value()) if value else []
        if unusable:
            raise ValueError(f"has no address that Apprise knows at place {', '.join(map(str, unusable))}")
        return value

    @field_validator("collector_trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str | None) -> str | None:
        networks = []
        for each in value.split(",") if value else []:
            try:
                networks.append(str(ip_network(each.strip(), strict=False)))
            except ValueError:
                raise ValueError(f"names {each.strip()!r}, no address or network such as 10.0.0.0/8") from None
        # Whole networks: uvicorn believes nobody by 10.0.0.5/8, and says nothing.
        return ",".join(networks) or None

    @field_validator("pipeline_home")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        try:
            return value.expanduser().resolve()
        except (OSError, RuntimeError):  # a link to itself, the ~ of a user who is not there
            raise ValueError(HOME_TAKES) from None

    @field_validator("mixpanel_start_date", "web_start_date")
    @classmethod
    def _start_date_is_past(cls, value: date | None) -> date | None:
        if value and value > datetime.now(UTC).date():
            raise ValueError("lies in the future")
        return value

    @property
    def day_zone(self) -> ZoneInfo:
        """The zone whose midnights bound an export day (reference/mixpanel.md A1.5)."""
        return ZoneInfo(self.mixpanel_timezone if self.mixpanel_time_mode == "project" else "UTC")

    @property
    def uses_mixpanel(self) -> bool:
        """Whether any part of an account is set; without one there are web analytics alone."""
        return any(
            part is not None for part in (self.mixpanel_project_id, self.mixpanel_username, self.mixpanel_secret)
        )

    @property
    def lake_address(self) -> str:
        """Where raw partitions live, as a directory or an fsspec URL."""
        return self.lake_url or str(self.pipeline_home / "lake")

    @property
    def alert_addresses(self) -> list[str]:
        """Where alerts go, one address each; none: they are logged only."""
        return split_addresses(self.alert_urls.get_secret_value()) if self.alert_urls else []

    @cached_property
    def start_date(self) -> date:
        """First daily partition. Unset, it is chosen at first use and kept under PIPELINE_HOME:
        a start that moved with the clock would break running backfills (reference/dagster.md B.1)."""
        if self.mixpanel_start_date:
            return self.mixpanel_start_date
        chosen = self.expected_start_date
        if not self._kept_start_date.exists():
            self.make_home()
            self._kept_start_date.write_text(f"{chosen}\n")
        return chosen

    @property
    def web_first_day(self) -> date:
        """The day of the first hourly and daily partition of the web aggregates."""
        return self.web_start_date or self.start_date

    @property
    def expected_start_date(self) -> date:
        """What `start_date` is, or would be: for whoever only looks."""
        if self.mixpanel_start_date:
            return self.mixpanel_start_date
        if self._kept_start_date.exists():
            return date.fromisoformat(self._kept_start_date.read_text().strip())
        return datetime.now(self.day_zone).date() - timedelta(days=DEFAULT_HISTORY_DAYS)

    @property
    def _kept_start_date(self) -> Path:
        return self.pipeline_home / "mixpanel_start_date"

    def make_home(self) -> None:
        """Makes PIPELINE_HOME unless it is there.

        Raises:
            SettingsError: it is a file, or cannot be made or written.
        """
        try:
            self.pipeline_home.mkdir(parents=True, exist_ok=True)
            usable = os.access(self.pipeline_home, os.W_OK | os.X_OK)
        except OSError:
            usable = False
        if not usable:
            raise SettingsError(f"PIPELINE_HOME: got {str(self.pipeline_home)!r}; it {HOME_TAKES}")


def load_settings(**overrides: Any) -> Settings:
    """Reads the environment and `.env`.

    Raises:
        SettingsError: a value cannot be used; one line, no secret in it.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None


def _names_http_host(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:  # brackets that hold no IPv6 address
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])
    field = Settings.model_fields[name]
    secret = "SecretStr" in str(field.annotation)
    got = "a value (not shown)" if secret else repr(first.get("input"))
    # Our validators say what the value is not, or, in place of the description, what the variable takes.
    reason = str(first["ctx"]["error"]) if first["type"] == "value_error" and "ctx" in first else ""
    if reason.startswith("takes "):
        return f"{name.upper()}: got {got}; it {reason}"
    return f"{name.upper()}: got {got}{reason and f', which {reason}'}; it takes {field.description}"
