"""The service's description, made from the rules that the database applies."""

from typing import Any

from mixpanel_pipeline.collector.batches import TIME
from mixpanel_pipeline.collector.rules import Field, Limits, Rules

BATCH_PATH = "/v1/batch"

REFUSALS = {
    "400": "The body is no JSON object with an array in `events`, its `sent_at` is no time, or it is no whole gzip.",
    "401": "`write_key` is missing, unknown or ended.",
    "403": "The page's origin is none that the write key is for.",
    "408": "The body came too slowly.",
    "409": "By its `sent_at` the sender's clock is wrong, and nothing was stored. `server_time` tells how much: shift "
    "`sent_at` and the times of the events that were never sent before, and send them again.",
    "413": "Too many bytes, packed or unpacked, or too many events: send them in two batches.",
    "415": "Content-Type is neither application/json nor text/plain, or Content-Encoding is not gzip.",
    "429": "Too many requests from this address or with this write key.",
    "503": "The events cannot be stored now. Send them again, with the same ids.",
}
COMES_AGAIN = ("429", "503")


def openapi_document(rules: Rules) -> dict[str, Any]:
    """OpenAPI 3.1."""
    types = list(dict.fromkeys(rule.type for rule in rules.fields))
    events = {kind: _event(kind, [rule for rule in rules.fields if rule.type == kind], rules.limits) for kind in types}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Collector of web events", "version": "1"},
        "paths": {
            BATCH_PATH: {"post": _post(), "options": _preflight()},
            "/healthz": _page("The process answers.", {"200": ("It does.", _object(healthy=_BOOLEAN))}),
            "/readyz": _page(
                "Whether events can be taken.",
                {status: (text, _READY) for status, text in (("200", "They can."), ("503", "They cannot."))},
            ),
            "/metrics": _page("For Prometheus.", {"200": ("Its text format.", None)}),
            "/openapi.json": _page("This document.", {"200": ("OpenAPI 3.1.", {"type": "object"})}),
        },
        "components": {
            "schemas": {
                **events,
                "Batch": _batch(types, rules.limits),
                "Answer": _ANSWER,
                "Error": _ERROR,
                "ClockError": _CLOCK_ERROR,
            }
        },
    }


_BOOLEAN = {"type": "boolean"}
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False
    }  # fmt: skip


_READY = _object(ready=_BOOLEAN, problems={"type": "array", "items": _TEXT})
_ERROR = _object(error=_TEXT)
_CLOCK_ERROR = _object(error=_TEXT, server_time={"type": "string", "format": "date-time"})
_ANSWER = {
    **_object(
        accepted=_COUNT,
        duplicates=_COUNT,
        rejected={
            "type": "array",
            "items": _object(index=_COUNT, field={"type": ["string", "null"]}, error=_TEXT),
        },
    ),
    "description": "Each event is one of the three; those accepted and the duplicates are committed.",
}


def _post() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Batch"}
    return {
        "operationId": "sendBatch",
        "summary": "Stores events, each once, and answers when they are committed.",
        "description": "The body may be packed (Content-Encoding: gzip). text/plain spares browsers the preflight. An "
        "event that is refused does not keep the others from being stored.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema}, "text/plain": {"schema": schema}},
        },
        "responses": {
            "200": _response("The events are safe.", {"$ref": "#/components/schemas/Answer"}),
            **{status: _refusal(status, text) for status, text in REFUSALS.items()},
        },
    }


def _refusal(status: str, text: str) -> dict[str, Any]:
    response = _response(text, {"$ref": f"#/components/schemas/{'ClockError' if status == '409' else 'Error'}"})
    if status in COMES_AGAIN:
        response["headers"] = {
            "Retry-After": {"required": True, "description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
        }
    return response


def _preflight() -> dict[str, Any]:
    """Browsers' own question; without Origin and Access-Control-Request-Method it is none."""
    texts = {
        "200": "The origin may send.",
        "400": "It may not.",
        "405": "No preflight: a header of it is missing.",
    }
    return {
        "summary": "CORS preflight.",
        "responses": {status: {"description": text} for status, text in texts.items()},
    }


def _page(summary: str, answers: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": {
        status: _response(text, schema) if schema else {"description": text, "content": {"text/plain": {}}}
        for status, (text, schema) in answers.items()
    }}}  # fmt: skip


def _response(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _batch(types: list[str], limits: Limits) -> dict[str, Any]:
    events = {
        "type": "array",
        "maxItems": limits.most_events,
        "items": {
            "oneOf": [{"$ref": f"#/components/schemas/{kind}"} for kind in types],
            "discriminator": {"propertyName": "type"},
        },
    }
    return {
        "type": "object",
        "description": "Other members are ignored.",
        "properties": {"write_key": _TEXT, "sent_at": _sent_at(limits), "events": events},
        "required": ["write_key", "events"],
    }


def _sent_at(limits: Limits) -> dict[str, Any]:
    minutes = limits.ahead.total_seconds() / 60
    return {
        "anyOf": [{"type": "string", "pattern": TIME}, {"type": "null"}],
        "description": f"The sender's clock as it sends; more than {minutes:g} minutes from the service's is answered "
        "with 409. Missing or null: its clock is not looked at.",
    }


def _event(kind: str, rules: list[Field], limits: Limits) -> dict[str, Any]:
    properties = {rule.field: _property(rule, limits) for rule in rules}
    return {
        "type": "object",
        "properties": {"type": {"const": kind}, **properties},
        "required": ["type", *(rule.field for rule in rules if rule.required)],
        "additionalProperties": False,
    }


def _property(rule: Field, limits: Limits) -> dict[str, Any]:
    """A field that is not required may be null too."""
    schema = _value(rule, limits)
    return schema if rule.required else {"anyOf": [schema, {"type": "null"}]}


def _value(rule: Field, limits: Limits) -> dict[str, Any]:
    text, most = {"type": "string"}, rule.most
    of_rule: dict[str, dict[str, Any]] = {
        "uuid": {**text, "format": "uuid", "description": "Made by the sender; the same when it retries."},
        "text": {
            **text, "minLength": int(rule.required), "maxLength": most, "description": f"At most {most} bytes of UTF-8."
        },
        "choice": {**text, "enum": rule.choices},
        "count": {"type": "integer", "minimum": 0, "maximum": limits.most_count},
        "time": {
            **text, "pattern": TIME, "description": "At most 5 minutes ahead, not behind the raw rows that are kept."
        },
        "address": {**text, "description": "An IPv4 or IPv6 address."},
        "data": {
            "type": "object", "description": f"At most {most} bytes of JSON and {limits.most_levels} levels."
        },
    }  # fmt: skip
    return of_rule[rule.holds]
