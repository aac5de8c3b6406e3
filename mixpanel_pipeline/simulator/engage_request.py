"""Reads and checks the parameters of an Engage query (docs: engage-query.mdx, reference A2)."""

from collections.abc import Mapping
from dataclasses import dataclass

from mixpanel_pipeline.simulator.parameters import BadRequestError, texts_in, where_in, whole_number_in
from mixpanel_pipeline.simulator.where_syntax import Expression

DEFAULT_PAGE_SIZE = 1_000
# Better an error than an answer that silently leaves the filter out.
NOT_SIMULATED = ("behaviors", "filter_by_cohort", "data_group_id", "search", "sort_key", "limit")


@dataclass(frozen=True)
class EngageQuery:
    """What a session is about: assumed to be the same on all its pages, since the error that Mixpanel gives
    otherwise speaks of an "uncached query for params"."""

    where: Expression | None
    distinct_ids: tuple[str, ...] | None
    output_properties: tuple[str, ...] | None
    page_size: int


@dataclass(frozen=True)
class EngageRequest:
    query: EngageQuery
    page: int
    session_id: str | None


def read_engage_request(params: Mapping[str, str]) -> EngageRequest:
    for name in NOT_SIMULATED:
        if params.get(name):
            raise BadRequestError(f"{name} is not simulated")
    distinct_ids = texts_in(params, "distinct_ids")
    if params.get("distinct_id"):
        if distinct_ids is not None:
            raise BadRequestError("distinct_id and distinct_ids exclude each other")
        distinct_ids = (params["distinct_id"],)
    query = EngageQuery(
        where=where_in(params),
        distinct_ids=distinct_ids,
        output_properties=texts_in(params, "output_properties"),
        page_size=whole_number_in(params, "page_size", DEFAULT_PAGE_SIZE, least=1),
    )
    return EngageRequest(query, whole_number_in(params, "page", 0), params.get("session_id") or None)
