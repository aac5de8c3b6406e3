"""Evaluates a parsed `where` expression on one row, with Mixpanel's undefined.

Rules are those of docs.mixpanel.com (segmentation-expressions). Two are not written there and are marked
"assumed": what boolean() makes of text, and that null counts as not defined.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from mixpanel_pipeline.simulator.where_syntax import (
    Binary,
    Call,
    Expression,
    ListOf,
    Literal,
    PropertyOf,
    Unary,
    WhereError,
)

PROCESSED = "mp_processing_time_ms"


class Undefined(Enum):
    UNDEFINED = "undefined"


UNDEFINED = Undefined.UNDEFINED


@dataclass(frozen=True, order=True)
class Moment:
    """A datetime value: seconds on the scale of the exported `time`."""

    seconds: float


ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
MIRRORED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,  # "the sign of the remainder is that of the dividend", unlike Python's %
}
ROUNDING: dict[str, Callable[[Any], Any]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round": lambda value: math.floor(value + 0.5),
}


def matches(expression: Expression, row: dict[str, Any]) -> bool:
    """Whether the export has this row; undefined is no."""
    return evaluate(expression, row) is True


def evaluate(expression: Expression, row: dict[str, Any]) -> Any:
    match expression:
        case Literal(value):
            return value
        case PropertyOf(scope, name):
            return _property(scope, name, row)
        case ListOf(items):
            return [evaluate(item, row) for item in items]
        case _:
            return _operation(expression, row)


def _operation(expression: Unary | Binary | Call, row: dict[str, Any]) -> Any:
    match expression:
        case Unary(symbol, operand):
            return _unary(symbol, evaluate(operand, row))
        case Binary("and" | "or" as symbol, left, right):
            return _logical(symbol, left, right, row)
        case Binary(symbol, left, right):
            return _binary(symbol, evaluate(left, row), evaluate(right, row))
        case Call(function, argument):
            return CALLS[function](evaluate(argument, row))


def processed_bounds(expression: Expression) -> tuple[float, float]:
    """The lowest and highest processing time that can match, so that a sweep reads only those rows."""
    match expression:
        case Binary("and", left, right):
            (left_low, left_high), (right_low, right_high) = processed_bounds(left), processed_bounds(right)
            return max(left_low, right_low), min(left_high, right_high)
        case Binary(symbol, PropertyOf("properties", name), Literal(int() | float() as value)) if (
            name == PROCESSED and symbol in ORDERINGS
        ):
            return (value, math.inf) if symbol in (">", ">=") else (-math.inf, value)
        case Binary(symbol, Literal() as left, PropertyOf() as right) if symbol in MIRRORED:
            return processed_bounds(Binary(MIRRORED[symbol], right, left))
        case Binary(symbol, Call("number", argument), right):
            return processed_bounds(Binary(symbol, argument, right))
    return -math.inf, math.inf


def _property(scope: str, name: str, row: dict[str, Any]) -> Any:
    if scope == "user":
        return row.get("user", {}).get(name, UNDEFINED)
    properties = row["properties"]
    if name == "$time":
        return _datetime(properties.get("time", UNDEFINED))
    # The plain `time` column cannot be filtered (embulk-input-mixpanel).
    if scope != "properties" or name == "time":
        return UNDEFINED
    return properties.get("distinct_id" if name == "$distinct_id" else name, UNDEFINED)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__


def _unary(symbol: str, value: Any) -> Any:
    if symbol == "-":
        return -value if _kind(value) == "number" else UNDEFINED
    if value is UNDEFINED:
        return True
    return not value if isinstance(value, bool) else UNDEFINED


def _logical(symbol: str, left: Expression, right: Expression, row: dict[str, Any]) -> bool:
    truth = _truth(symbol, evaluate(left, row))
    if truth is (symbol == "or"):
        return truth
    return _truth(symbol, evaluate(right, row))


def _truth(symbol: str, value: Any) -> bool:
    if value is UNDEFINED:
        return False
    if not isinstance(value, bool):
        raise WhereError(f"{symbol!r} takes booleans, got a {_kind(value)}")
    return value


def _binary(symbol: str, left: Any, right: Any) -> Any:
    same_kind = _kind(left) == _kind(right)
    if symbol in ("==", "!="):
        return (same_kind and left == right) is (symbol == "==")
    if symbol == "in":
        return _contains(right, left)
    if symbol in ORDERINGS:
        comparable = same_kind and _kind(left) in ("number", "str", "Moment")
        return ORDERINGS[symbol](left, right) if comparable else UNDEFINED
    if symbol == "+" and same_kind and _kind(left) in ("number", "str"):
        return left + right
    if not same_kind or _kind(left) != "number" or (symbol in "/%" and right == 0):
        return UNDEFINED
    return ARITHMETIC[symbol](left, right) if symbol in ARITHMETIC else UNDEFINED


def _contains(container: Any, value: Any) -> Any:
    if isinstance(container, list):
        return any(_kind(item) == _kind(value) and item == value for item in container)
    if isinstance(container, str) and isinstance(value, str):
        return value in container
    return UNDEFINED


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return UNDEFINED
    return value if _kind(value) == "number" else UNDEFINED


def _string(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if _kind(value) == "number" else value


def _boolean(value: Any) -> Any:
    if isinstance(value, str):  # assumed: any other text is undefined
        return {"true": True, "false": False}.get(value, UNDEFINED)
    if value is None or value is UNDEFINED:
        return False
    return bool(value) if _kind(value) in ("number", "boolean") else UNDEFINED


def _datetime(value: Any) -> Any:
    if _kind(value) == "number":
        return Moment(value)
    if not isinstance(value, str):
        return UNDEFINED
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return UNDEFINED
    return Moment((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


CALLS: dict[str, Callable[[Any], Any]] = {
    # assumed: null is not a value
    "defined": lambda value: value is not UNDEFINED and value is not None,
    "number": _number,
    "string": _string,
    "boolean": _boolean,
    "datetime": _datetime,
} | {
    name: (lambda value, round_=round_: round_(value) if _kind(value) == "number" else UNDEFINED)
    for name, round_ in ROUNDING.items()
}
