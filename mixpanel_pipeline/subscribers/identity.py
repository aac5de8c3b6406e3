"""Which project a database belongs to, and the name its files have in the lake (table pipeline_identity)."""

import psycopg


class WrongProjectError(Exception):
    """The database holds another project's totals."""


def claim_database(connection: psycopg.Connection, project_id: int) -> str:
    """The database's own id, under which its files lie in the lake; the first project to ask keeps the database.

    Raises:
        WrongProjectError: another project's events are in it.
    """
    row = connection.execute(
        "update pipeline_identity set project_id = coalesce(project_id, %s) returning id, project_id", [project_id]
    ).fetchone()
    if row is None:
        raise WrongProjectError("the table pipeline_identity is empty: run `mixpanel-pipeline rollback` and `migrate`")
    if row[1] != project_id:
        raise WrongProjectError(
            f"this database holds the events of Mixpanel project {row[1]}, and MIXPANEL_PROJECT_ID is {project_id}: "
            "totals of two projects would mix. Set another DATABASE_URL (or PIPELINE_HOME) for each project."
        )
    return str(row[0])


def database_id(connection: psycopg.Connection) -> str:
    """The database's own id."""
    row = connection.execute("select id from pipeline_identity").fetchone()
    return str(row[0]) if row else ""
