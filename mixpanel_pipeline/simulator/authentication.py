"""Who may export: service accounts and project secrets, in the spellings that production accepts.

Service accounts send Basic credentials in base64 or in plain text (docs: service-accounts.mdx). A project
secret is a user name with an empty password (project-secret.mdx), and clients that leave out the colon work
as well (tap-mixpanel, Airbyte).
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Credentials:
    project_id: int
    username: str
    secret: str
    project_secret: str


@dataclass(frozen=True)
class Refusal:
    status: int
    error: str


INVALID = Refusal(401, "Invalid credentials")


def refusal(credentials: Credentials, authorization: str | None, project_id: str | None) -> Refusal | None:
    """Why this request may not read the project, or None if it may."""
    if not authorization:
        return Refusal(401, "Authentication required")
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return INVALID
    sent = set(_spellings(value.strip()))
    if sent & {credentials.project_secret, f"{credentials.project_secret}:"}:
        return None
    if f"{credentials.username}:{credentials.secret}" not in sent:
        return INVALID
    return _project_refusal(credentials, project_id)


def _project_refusal(credentials: Credentials, project_id: str | None) -> Refusal | None:
    """A service account may belong to several projects, so it has to say which one it means."""
    if not project_id:
        return Refusal(400, "project_id is required with a service account")
    if not project_id.isdecimal():
        return Refusal(400, f"project_id must be an integer, got {project_id!r}")
    if int(project_id) != credentials.project_id:
        return Refusal(403, f"service account has no access to project {project_id}")
    return None


def _spellings(value: str) -> Iterator[str]:
    yield value
    try:
        yield base64.b64decode(value, validate=True).decode()
    except ValueError:  # no base64, or base64 of no text
        return
