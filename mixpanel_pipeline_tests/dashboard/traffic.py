"""Three months of people who come back, on two projects and two cards: aggregated, and today's rows live."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline_tests.dashboard.conftest import PEOPLE
from mixpanel_pipeline_tests.web import site
from mixpanel_pipeline_tests.web.plain_web import Row

EVENTS = [("visible", "hero"), ("visible", "side, bar"), ("visible", None), ("form", ""), ("form", '=HYPERLINK("x")')]
OPENINGS = [(None, None), ("g", None), ("g", "ada"), ("h", "ada"), (None, "bob"), ("", "")]
CLICKS = [("contact", "phone"), ("messaging", "whatsapp"), ("portfolio", "item"), ("other", None), ("social", "")]
PAGES = ["home", "contact", "profile", "portfolio"]


def let_people_in(warehouse: Warehouse) -> None:
    """The owner and the collaborator see project p, the card owner card c, the admin everything."""
    with warehouse.connect() as connection:
        account = connection.execute(
            "insert into account (user_id) values (%s) returning id", [PEOPLE["owner"]]
        ).fetchone()
        assert account
        connection.execute("insert into project values ('p', %s)", account)
        connection.execute("insert into account_collaborator values (%s, %s)", [account[0], PEOPLE["collaborator"]])
        connection.execute("insert into admin_users values (%s)", [PEOPLE["admin"]])
        connection.execute("insert into card_owner values ('c', %s)", [PEOPLE["card owner"]])


def write_traffic(warehouse: Warehouse, first: date = site.OLDEST, aggregated_until: date | None = site.TODAY) -> None:
    """Days are aggregated until one (None: none is); then come rows of the others, today's the last of them."""
    generator = random.Random(5)
    days = [first + timedelta(days=number) for number in range((site.TODAY - first).days + 1)]
    written = [rows_of(day, generator) for day in days]
    known = days.index(aggregated_until) if aggregated_until else 0
    if aggregated_until:
        _copy(warehouse, written[:known])
        aggregate_all(warehouse)
        with warehouse.connect() as connection:
            connection.execute(
                "update analytics_progress set aggregated_until = "
                "least(aggregated_until, %s::timestamp at time zone 'UTC')",
                [aggregated_until],
            )
    _copy(warehouse, written[known:])


def rows_of(day: date, generator: random.Random) -> dict[str, list[Row]]:
    def at() -> datetime:
        start = datetime.combine(day, datetime.min.time(), UTC)
        over = min(timedelta(days=1), datetime.now(UTC) - start)
        return start + over * generator.random()

    rows: dict[str, list[Row]] = {kind: [] for kind in site.TIME_COLUMN}
    for _ in range(8):
        event_type, label = generator.choice(EVENTS)
        visitor = f"v{generator.randrange(12)}"
        rows["events"].append(
            site.event(
                at(), visitor, project_id=generator.choice("ppq"), event_type=event_type, event_label=label,
                session_id=f"{visitor} {day.isocalendar().week} {generator.randrange(3)}",
            )
        )  # fmt: skip
    for _ in range(4):
        share, contact = generator.choice(OPENINGS)
        session, card = f"{day.isocalendar().week} {generator.randrange(9)}", generator.choice("ccd")
        where: dict[str, Any] = {"user_code": card, "share_code": share, "contact_id": contact}
        rows["page_views"].append(site.page_view(at(), session, page_type=generator.choice(PAGES), **where))
        category, target = generator.choice(CLICKS)
        rows["clicks"].append(site.click(at(), session, click_category=category, click_target=target, **where))
        rows["sessions"].append(site.session_row(at(), f"start {day} {generator.random()}", **where))
    return rows


def _copy(warehouse: Warehouse, days: list[dict[str, list[Row]]]) -> None:
    with warehouse.connect() as connection:
        for kind in site.TIME_COLUMN:
            site.copy(connection, kind, [row for rows in days for row in rows[kind]])
