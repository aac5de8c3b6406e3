"""Postgres: connections, the embedded server, migrations, named SQL files."""
