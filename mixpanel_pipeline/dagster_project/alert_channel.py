"""Sends alerts to the addresses of ALERT_URLS, and keeps what a channel did not take until it does."""

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from mixpanel_pipeline.alert_addresses import open_channel
from mixpanel_pipeline.settings import Settings

if TYPE_CHECKING:
    from apprise import NotifyBase

# An alert that says more than this is not read; the rest is on the run's page.
MOST_CHARACTERS = 1500

# A channel that is down is tried again after a minute, then ever more rarely, for a day: a network that failed at
# night is mended by then, and what is a day old is better read on Dagster's page.
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=1)
MOST_WAITING = 100

# Dagster ends a sensor's tick after sixty seconds, and then nothing that it did would be remembered.
SECONDS_A_TICK = 30.0


@dataclass(frozen=True)
class Alert:
    """What happened, what to do about it, and the page of Dagster's that shows it (a path: the page's address is
    known to whoever opened a way to it)."""

    severity: Literal["failure", "warning", "success"]
    title: str
    message: str
    fix: str = ""
    page: str = ""

    @property
    def body(self) -> str:
        fix = f"What to do: {self.fix}" if self.fix else ""
        page = f"On Dagster's page: {self.page}" if self.page else ""
        return "\n".join(filter(None, [_cut(self.message), _cut(fix), page]))

    def __str__(self) -> str:
        return f"{self.title}\n{self.body}"


@dataclass
class Waiting:
    """An alert that some channels have not taken yet. They are known by their places in ALERT_URLS, for their
    addresses are secret; a corrected address stands where the wrong one stood."""

    alert: Alert
    places: list[int]
    since: datetime
    due: datetime
    attempts: int = 0


@dataclass
class Outbox:
    """What is still to be sent. It is part of the sensor's cursor, so that it is saved together with how far the
    sensor has read: an event is either still to be read or its alert is here or sent."""

    waiting: list[Waiting] = field(default_factory=list)


class AlertChannels:
    """The channels that the settings name. Everything goes to the log as well, or to the log alone."""

    def __init__(self, settings: Settings, log: logging.Logger) -> None:
        self._log = log
        self._addresses = settings.alert_addresses
        self._secrets = _secrets(settings)

    def deliver(self, outbox: Outbox, alerts: Sequence[Alert], now: datetime) -> None:
        """Logs and sends `alerts`, after what waited. What a channel does not take stays in the outbox, and holds up
        neither the other channels nor later alerts. Never raises: what is sent must not be sent again because a
        later one failed."""
        for alert in alerts:
            shown = self._without_secrets(alert)
            self._log.warning("ALERT %s", shown)
            places = list(range(1, len(self._addresses) + 1))
            outbox.waiting.append(Waiting(shown, places, since=now, due=now))
        self._send_due(outbox, now)
        outbox.waiting = [waiting for waiting in outbox.waiting if waiting.places and not self._given_up(waiting, now)]
        for waiting in outbox.waiting[:-MOST_WAITING]:
            self._log.error("ALERT never delivered, for more than %s wait: %s", MOST_WAITING, waiting.alert.title)
        outbox.waiting = outbox.waiting[-MOST_WAITING:]

    def _send_due(self, outbox: Outbox, now: datetime) -> None:
        """One failure a channel and tick: each may take its whole time-out."""
        started, channels, refused = time.monotonic(), self._channels(outbox), set[int]()
        for waiting in outbox.waiting:
            if waiting.due > now:
                continue
            if time.monotonic() - started > SECONDS_A_TICK:
                return
            for place in [place for place in waiting.places if place not in refused]:
                if place > len(channels) or self._sent(channels[place - 1], place, waiting.alert):
                    waiting.places.remove(place)
                else:
                    refused.add(place)
            waiting.due = now + min(FIRST_PAUSE * 2**waiting.attempts, LONGEST_PAUSE)
            waiting.attempts += 1

    def _channels(self, outbox: Outbox) -> "list[NotifyBase | None]":
        return [open_channel(address) for address in self._addresses] if outbox.waiting else []

    def _sent(self, channel: "NotifyBase | None", place: int, alert: Alert) -> bool:
        from apprise import LogCapture, NotifyFormat, NotifyType

        with LogCapture(level=logging.WARNING, fmt="%(message)s") as said:
            try:
                sent = channel is not None and channel.notify(
                    title=alert.title, body=alert.body, notify_type=NotifyType(alert.severity),
                    body_format=NotifyFormat.TEXT,
                )  # fmt: skip
                reason = said.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
            except Exception as error:  # a plugin of a hundred; whatever it raises, the alert is kept
                sent, reason = False, f"{type(error).__name__}: {error}"
        if not sent:
            name = channel.service_name if channel else "unusable"
            self._log.error(
                "ALERT not delivered to address %s of ALERT_URLS (%s), it will be tried again: %s [%s]",
                place, name, alert.title, _hidden(" ".join(reason.split()), _words_of(self._addresses[place - 1])),
            )  # fmt: skip
        return sent

    def _given_up(self, waiting: Waiting, now: datetime) -> bool:
        if now - waiting.since < GIVEN_UP_AFTER:
            return False
        places = ", ".join(map(str, waiting.places))
        self._log.error("ALERT never delivered to address %s of ALERT_URLS, tried %s times since %s: %s",
                        places, waiting.attempts, waiting.since, waiting.alert)  # fmt: skip
        return True

    def _without_secrets(self, alert: Alert) -> Alert:
        """The rooms' errors hold none, but an alert also quotes errors of libraries, and leaves the machine."""
        return replace(
            alert, title=_hidden(alert.title, self._secrets), message=_hidden(alert.message, self._secrets),
            fix=_hidden(alert.fix, self._secrets),
        )  # fmt: skip


def _secrets(settings: Settings) -> list[str]:
    database = settings.database_url.get_secret_value() if settings.database_url else ""
    password = str(conninfo_to_dict(database).get("password") or "")
    mixpanel = settings.mixpanel_secret.get_secret_value() if settings.mixpanel_secret else ""
    return [*settings.alert_addresses, database, password, quote(password, safe=""), mixpanel]


def _words_of(address: str) -> list[str]:
    """All that an address consists of: Apprise's own lines quote tokens in places that differ by service."""
    return re.split(r"[/?&=:@#,]+", address.partition("://")[2])[1:]


def _hidden(text: str, secrets: Sequence[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} …"
