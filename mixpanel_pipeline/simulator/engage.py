"""Pages of profiles: Mixpanel's Engage query (docs: engage-query.mdx, reference A2)."""

from collections.abc import Mapping

from mixpanel_pipeline.simulator.answering import Work
from mixpanel_pipeline.simulator.body import Body
from mixpanel_pipeline.simulator.engage_page import Page
from mixpanel_pipeline.simulator.engage_request import EngageRequest, read_engage_request
from mixpanel_pipeline.simulator.engage_sessions import EngageSession
from mixpanel_pipeline.simulator.fault_profiles import odd_page, odd_profiles
from mixpanel_pipeline.simulator.faults import Fault
from mixpanel_pipeline.simulator.json_body import json_body
from mixpanel_pipeline.simulator.parameters import BadRequestError
from mixpanel_pipeline.simulator.profiles import with_properties
from mixpanel_pipeline.simulator.project import Project


def engage_work(params: Mapping[str, str], project: Project) -> Work:
    """A page that bears a session's id is free of the hourly limit (mixpanel-headless, pacer.py)."""
    asked = read_engage_request(params)
    if asked.session_id is None and asked.page > 0:
        raise _uncached(asked)

    def prepare(faults: list[Fault], gzip: bool) -> Body:
        return json_body(_page(project, asked, faults).encoded(), faults, gzip)

    return Work(
        limits=project.query_limits,
        take_faults=lambda: project.faults.take("engage", page=asked.page),
        prepare=prepare,
        media_type=b"application/json",
        counted=asked.session_id is None,
    )


def _page(project: Project, asked: EngageRequest, faults: list[Fault]) -> Page:
    if any(fault.name == "session_lost" for fault in faults):
        project.engage_sessions.forget(asked.session_id)
    session = _session(project, asked)
    first = asked.page * session.query.page_size
    page = Page(
        number=asked.page,
        page_size=session.query.page_size,
        session_id=session.session_id,
        profiles=_profiles(project, session, first, faults),
        # "exists only on the first page" (Airbyte), though the documentation has it on every one.
        total=len(session.rows) if asked.page == 0 else None,
    )
    before = _profiles(project, session, first - 1, [], count=1) if first else []
    odd_page(page, before, faults)
    return page


def _session(project: Project, asked: EngageRequest) -> EngageSession:
    """The first page opens one and thereby freezes what all its pages show."""
    if asked.session_id is None:
        rows = project.profiles.select(asked.query.distinct_ids, asked.query.where)
        return project.engage_sessions.open(asked.query, rows)
    session = project.engage_sessions.find(asked.session_id, asked.query)
    if session is None:
        raise _uncached(asked)
    return session


def _profiles(
    project: Project, session: EngageSession, first: int, faults: list[Fault], count: int | None = None
) -> list[bytes]:
    rows = session.rows[first : first + (count or session.query.page_size)]
    lines = odd_profiles(project.profiles.lines(rows), faults)
    names = session.query.output_properties
    return lines if names is None else [with_properties(line, names) for line in lines]


def _uncached(asked: EngageRequest) -> BadRequestError:
    """The text is Mixpanel's (engage-query.mdx); its status is not known, so 400 is assumed."""
    params = {"page": asked.page, "session_id": asked.session_id}
    return BadRequestError(f"request for page in uncached query for params: {params}")
