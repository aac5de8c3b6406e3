"""Browsers' events for the collector, made as cheaply as can be: whoever sends must not be what is measured."""

import itertools
import json
import os
import time
from datetime import UTC, datetime

PROJECT = "shop"
SESSIONS = 20_000
CARDS = 500
VISITORS = 10_000

# Of twenty events.
KINDS = ("session",) * 2 + ("page_view",) * 8 + ("click",) * 3 + ("event",) * 7
TABLES = {
    "session": "analytics_sessions", "page_view": "analytics_page_views", "click": "analytics_clicks",
    "event": "analytics_events",
}  # fmt: skip


class Traffic:
    """A stream of events that are all different, as JSON. One process' ids are not another's."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._own = os.urandom(6).hex()

    def events(self, count: int) -> list[str]:
        """The next ones, of now."""
        milliseconds = time.time_ns() // 1_000_000
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
        return [self._event(next(self._numbers), milliseconds, moment) for _ in range(count)]

    def _event(self, number: int, milliseconds: int, moment: str) -> str:
        stamp = f"{milliseconds:012x}"
        start = f'"id":"{stamp[:8]}-{stamp[8:]}-7{number & 0xFFF:03x}-8{number >> 12 & 0xFFF:03x}-{self._own}",'
        session, card = number * 7919 % SESSIONS, number * 31 % CARDS
        match KINDS[number % len(KINDS)]:
            case "session":
                return (
                    f'{{"type":"session",{start}"session_id":"{self._own}-{number}","user_code":"card-{card}",'
                    f'"share_code":"spring-fair","first_seen":"{moment}","last_seen":"{moment}",'
                    '"user_agent":"Mozilla/5.0 (X11; Linux x86_64)","referrer":"https://www.example.com/cards"}'
                )
            case "page_view":
                return (
                    f'{{"type":"page_view",{start}"session_id":"s-{session}","user_code":"card-{card}",'
                    f'"share_code":"spring-fair","page_type":"profile","viewed_at":"{moment}"}}'
                )
            case "click":
                return (
                    f'{{"type":"click",{start}"session_id":"s-{session}","user_code":"card-{card}",'
                    f'"click_target":"mail","click_category":"contact","clicked_at":"{moment}"}}'
                )
            case _:
                return (
                    f'{{"type":"event",{start}"project_id":"{PROJECT}","visitor_id":"v-{number % VISITORS}",'
                    f'"session_id":"s-{session}","event_type":"widget_visible","event_label":"banner",'
                    f'"event_data":{{"place":{number % 9},"page":"https://www.example.com/cards/spring"}},'
                    f'"created_at":"{moment}"}}'
                )


def rows_by_table(events: list[str]) -> dict[str, tuple[list[str], list[list[object]]]]:
    """The rows that these events become: the columns of each table, and its values."""
    found: dict[str, tuple[list[str], list[list[object]]]] = {}
    for text in events:
        event = json.loads(text)
        kind = event.pop("type")
        if kind == "session":
            del event["id"]
        if kind == "event":
            event["event_data"] = json.dumps(event["event_data"])
        columns, rows = found.setdefault(TABLES[kind], (list(event), []))
        rows.append([event[column] for column in columns])
    return found
