"""The pre-rendered parts of generated lines: what an event, a person and a moment contribute to the JSON."""

import json
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mixpanel_pipeline.catalog import ANONYMOUS_PREFIX, PROPERTIES, TRACKED_EVENTS, Property

UNTRACKED_EVENTS = ("App Opened", "Push Notification Received", "Viewed Settings")
EVENT_NAMES = (*TRACKED_EVENTS, *UNTRACKED_EVENTS)
_RARE = {"AchTransferInitiated", "SubscriptionCreated", "BankAccountLinked", "DubAutoCopyInitiated"}
_WEIGHTS = [2 if name in _RARE else 10 for name in EVENT_NAMES]
EVENT_WEIGHTS = [weight / sum(_WEIGHTS) for weight in _WEIGHTS]

VARIANTS = 2_048
SYSTEM_PROPERTIES = 5  # time, distinct_id, $insert_id and the two timestamps, which every line has
PERSON_TEXTS = tuple(line for line in PROPERTIES if line.kind == "text")[:5]
MOMENT_PROPERTIES = tuple(line for line in PROPERTIES if line not in PERSON_TEXTS)
TEXT_VALUES = {
    "income": ("under_50k", "50k_100k", "100k_250k", "250k_plus"),
    "net_worth": ("under_25k", "25k_100k", "100k_1m", "1m_plus"),
    "investing_activity": ("daily", "weekly", "monthly", "rarely"),
    "investing_experience_years": ("0-1", "1-3", "3-5", "5+"),
    "investing_objective": ("growth", "income", "preservation", "learn & play"),
    "investment_type": ("stocks", "options", "crypto", "etfs"),
    "acquisition_survey": ("friend", "TikTok", "podcast — “Money”", "app store"),
}
PLACES = (
    ("New York", "New York", "US"),
    ("Zürich", "Zurich", "CH"),
    ("São Paulo", "São Paulo", "BR"),
    ("東京", "Tokyo", "JP"),
    ("Bengaluru", "Karnataka", "IN"),
)
PHONES = (
    ("iphone", "iOS", "17.5.1", "iPhone15,3", 2796, 1290),
    ("iphone", "iOS", "18.0", "iPhone16,1", 2556, 1179),
    ("android", "Android", "14", "Pixel 8", 2400, 1080),
    ("android", "Android", "13", "SM-S918B", 3088, 1440),
)


@dataclass(frozen=True)
class Fragments:
    """Bytes that render() puts together; the index of each is what numpy draws."""

    heads: list[bytes]
    persons: list[bytes]
    variants: list[bytes]
    tails: list[bytes]


@lru_cache(maxsize=4)
def fragments_for(people: int, seed: int, properties: int) -> Fragments:
    """The fragments of a project; people come first among the persons, anonymous devices after them."""
    generator = random.Random(f"fragments {seed} {people}")
    per_person = max(0, properties - SYSTEM_PROPERTIES)
    persons = [_person(number, generator)[: per_person + 1] for number in range(people)]
    persons += [_device(generator)[: per_person + 1] for _ in range(people // 20 + 1)]
    moment_count = max(0, properties - SYSTEM_PROPERTIES - len(persons[0]) + 1)
    moments = [_moment(moment_count, generator) for _ in range(VARIANTS)]
    return Fragments(
        heads=[f'{{"event":{_json(name)},"properties":{{"time":'.encode() for name in EVENT_NAMES],
        persons=[b"," + members(pairs) for pairs in persons],
        variants=[b"," + members(pairs) if pairs else b"" for pairs in moments],
        tails=[b"}}\n", b',"$import":true}}\n'],
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def members(pairs: list[tuple[str, Any]]) -> bytes:
    return ",".join(f"{_json(key)}:{_json(value)}" for key, value in pairs).encode()


def _hexadecimal(generator: random.Random, bits: int) -> str:
    return f"{generator.getrandbits(bits):0{bits // 4}x}"


def _phone(generator: random.Random) -> list[tuple[str, Any]]:
    library, system, version, model, height, width = generator.choice(PHONES)
    city, region, country = generator.choice(PLACES)
    return [
        ("mp_lib", library),
        ("$lib_version", "4.2.0"),
        ("$os", system),
        ("$os_version", version),
        ("$model", model),
        ("$city", city),
        ("$region", region),
        ("mp_country_code", country),
        ("$screen_height", height),
        ("$screen_width", width),
    ]


def _person(number: int, generator: random.Random) -> list[tuple[str, Any]]:
    """A known user: identifiers, phone, place, and answers given once (empty or null when skipped)."""
    distinct_id = f"user-{number:06d}-{_hexadecimal(generator, 32)}"
    identity = [
        ("distinct_id", distinct_id),
        ("$device_id", _hexadecimal(generator, 64)),
        ("$user_id", distinct_id),
    ]
    answers = [
        (spelling_of(line, generator), generator.choice((*TEXT_VALUES[line.column], "", None))) for line in PERSON_TEXTS
    ]
    return [*identity, *_phone(generator), *answers]


def _device(generator: random.Random) -> list[tuple[str, Any]]:
    """Somebody not signed in: simplified identity calls them by their device (reference A1.3)."""
    device_id = _hexadecimal(generator, 64)
    return [
        ("distinct_id", f"{ANONYMOUS_PREFIX}{device_id}"),
        ("$device_id", device_id),
        *_phone(generator),
    ]


def spelling_of(line: Property, generator: random.Random) -> str:
    return generator.choice(line.names)


def _moment(count: int, generator: random.Random) -> list[tuple[str, Any]]:
    """What the app knew when the event happened: some catalog values and the app's own properties."""
    known = generator.sample(MOMENT_PROPERTIES, min(count, len(MOMENT_PROPERTIES), 6))
    pairs = [(spelling_of(line, generator), value_of(line, generator)) for line in known]
    own: list[tuple[str, Any]] = [
        ("screen_name", generator.choice(("Home", "Discover", "Portfolio", "Paywall"))),
        ("session_duration_seconds", round(generator.random() * 600, 3)),
        ("experiments", {"paywall": generator.choice("ab"), "cohorts": [1, generator.randrange(9), None]}),
    ]
    own += [(f"custom_property_{number}", generator.randrange(10**6)) for number in range(count)]
    return [*pairs, *own[: count - len(pairs)]]


def value_of(line: Property, generator: random.Random) -> Any:
    """Numbers come as numbers, as text, empty, null, and rarely as something that is no number at all."""
    if line.kind == "text":
        return generator.choice((*TEXT_VALUES[line.column], "", None))
    number = generator.randrange(0, 50_000)
    kinds = (number, number, round(number / 7, 2), str(number), f"{number / 4:.2f}", "", None)
    return "n/a" if generator.random() < 0.005 else generator.choice(kinds)
