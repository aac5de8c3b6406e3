"""Who is there in generated web traffic: projects of very different size, cards, their owners, groups and contacts."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

ZIPF_EXPONENT = 0.8  # of 100 projects the largest has 12 % of the traffic
CARD_EXPONENT = 0.8
GROUPS_PER_CARD = 3
CONTACTS_PER_CARD = 12
DIRECT, BY_GROUP, BY_CONTACT = 0.5, 0.25, 0.25  # how a card is opened


@dataclass(frozen=True)
class WebProject:
    """A site; `share` is its part of all traffic."""

    project_id: str
    owner_id: UUID
    share: float


@dataclass(frozen=True)
class Card:
    """A card: `contacts` are pairs of contact_id and the share_code of the group they are in, if in one."""

    user_code: str
    project_id: str
    owner_id: UUID
    share: float
    share_codes: tuple[str, ...]
    contacts: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Opening:
    """One way in which a card is opened; `share` is its part of the project's sessions."""

    user_code: str
    share_code: str | None
    contact_id: str | None
    share: float


def zipf(count: int, exponent: float) -> list[float]:
    """Shares of 1 that fall from the first to the last."""
    weights = [rank**-exponent for rank in range(1, count + 1)]
    return [weight / sum(weights) for weight in weights]


def make_projects(seed: int, count: int) -> tuple[WebProject, ...]:
    generator = random.Random(f"web projects {seed}")
    return tuple(
        WebProject(f"project-{number:03d}", _uuid(generator), share)
        for number, share in enumerate(zipf(count, ZIPF_EXPONENT), start=1)
    )


def make_cards(seed: int, projects: tuple[WebProject, ...], per_project: int) -> tuple[Card, ...]:
    """The cards of the first project, then those of the second, and so on."""
    generator = random.Random(f"web cards {seed}")
    shares = zipf(per_project, CARD_EXPONENT)
    return tuple(
        _card(f"{project.project_id}-card-{number:03d}", project, share, generator)
        for project in projects
        for number, share in enumerate(shares, start=1)
    )


def _card(user_code: str, project: WebProject, share: float, generator: random.Random) -> Card:
    share_codes = tuple(f"{generator.getrandbits(40):010x}" for _ in range(GROUPS_PER_CARD))
    contacts = tuple(
        (f"contact-{generator.getrandbits(48):012x}", generator.choice((*share_codes, None)))
        for _ in range(CONTACTS_PER_CARD)
    )
    return Card(user_code, project.project_id, _uuid(generator), share, share_codes, contacts)


def openings(card: Card) -> Iterator[Opening]:
    """As many for every card, so that a number names one."""
    yield Opening(card.user_code, None, None, card.share * DIRECT)
    for share_code, share in zip(card.share_codes, zipf(GROUPS_PER_CARD, 1), strict=True):
        yield Opening(card.user_code, share_code, None, card.share * BY_GROUP * share)
    for (contact_id, share_code), share in zip(card.contacts, zipf(CONTACTS_PER_CARD, 1), strict=True):
        yield Opening(card.user_code, share_code, contact_id, card.share * BY_CONTACT * share)


def _uuid(generator: random.Random) -> UUID:
    return UUID(int=generator.getrandbits(128), version=4)
