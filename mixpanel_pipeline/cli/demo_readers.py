"""Who may read what in the demo: one person of each kind, to sign in as on the dashboard."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from uuid import UUID, uuid5

import psycopg

from mixpanel_pipeline.dashboard.options import Reader
from mixpanel_pipeline.simulator import WebTraffic
from mixpanel_pipeline.warehouse.sql_files import read_sql

PEOPLE = UUID("6c9b53c1-6b0f-4f0c-9d0a-2f1d5f6f7a10")  # names become user ids in it


def demo_readers(traffic: WebTraffic) -> list[Reader]:
    """One of each kind that row-level security knows."""
    first, second, third = traffic.projects[:3]
    return [
        Reader("Administrator", "sees everything, subscribers and health too", uuid5(PEOPLE, "administrator")),
        Reader("Owner", f"owns {first.project_id} and all of its cards", first.owner_id),
        Reader("Collaborator", f"works with {second.project_id} and {third.project_id}", uuid5(PEOPLE, "collaborator")),
        Reader("Card owner", f"owns the card {_card_of_its_own(traffic)}", uuid5(PEOPLE, "card owner")),
        Reader("Stranger", "has nothing to see", uuid5(PEOPLE, "stranger")),
    ]


def let_them_read(connection: psycopg.Connection, traffic: WebTraffic) -> None:
    """Enters the sites' owners and these people where the policies look them up."""
    administrator, owner, collaborator, card_owner, _stranger = demo_readers(traffic)
    for project in traffic.projects:
        connection.execute(
            read_sql("demo/own_project.sql"), {"project_id": project.project_id, "user_id": project.owner_id}
        )
    connection.execute(
        read_sql("demo/collaborate.sql"),
        {"user_id": collaborator.user_id, "project_ids": [project.project_id for project in traffic.projects[1:3]]},
    )
    owned = [
        (card.user_code, owner.user_id) for card in traffic.cards if card.project_id == traffic.projects[0].project_id
    ]
    for user_code, user_id in [*owned, (_card_of_its_own(traffic), card_owner.user_id)]:
        connection.execute(read_sql("demo/own_card.sql"), {"user_code": user_code, "user_id": user_id})
    connection.execute(read_sql("demo/administer.sql"), {"user_id": administrator.user_id})


def write_readers(path: Path, readers: Sequence[Reader]) -> Path:
    """Writes them as `collect --sign-in-as` reads them: a JSON array of objects with name, description and user_id."""
    path.write_text(json.dumps([asdict(reader) for reader in readers], default=str, indent=1), encoding="utf-8")
    return path


def _card_of_its_own(traffic: WebTraffic) -> str:
    """The busiest card of the second site."""
    return next(card.user_code for card in traffic.cards if card.project_id == traffic.projects[1].project_id)
