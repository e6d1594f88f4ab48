"""Every row of every table, as the database itself writes it out: for what must leave no trace."""

import sqlite3
from contextlib import closing

import psycopg

from market.base.database import sqlite_path
from market.base.settings import Settings

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


def every_row(settings: Settings) -> list[str]:
    """Return every row of a store as text, table by table."""
    if not settings.store:
        with closing(sqlite3.connect(sqlite_path(settings))) as connection:
            return list(connection.iterdump())
    with psycopg.connect(settings.store) as connection:
        tables = [name for (name,) in connection.execute(_TABLES).fetchall()]
        return [
            f"{table} {row}"
            for table in tables
            for (row,) in connection.execute(
                f'SELECT t::text FROM "{table}" t ORDER BY 1'.encode()
            ).fetchall()
        ]
