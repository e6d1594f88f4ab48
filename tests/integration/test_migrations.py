"""Migrations and tables may not drift, and every migration can be undone."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from market import (
    catalog,
    identity,
    inbox,
    ledger,
    mandates,
    memory,
    orders,
    rawstreams,
    recommendations,
    reviews,
    sessions,
    trust,
)
from market.base import once, streams
from market.base.database import sqlite_path
from market.base.migration import downgrade, migrate
from market.base.settings import Settings
from market.base.tables import metadata

ROOMS = (
    catalog, identity, inbox, ledger, mandates, memory, orders, rawstreams,
    recommendations, reviews,
    sessions, trust, once, streams,
)  # fmt: skip
"""Importing a room declares its tables."""

BESIDE_THE_TABLES = ("services_fts", "alembic_version")
"""Full-text indexes and alembic's own table are not declared as tables."""

ONLY_ON_POSTGRESQL = {("stream_entries", "xid")}
"""A column that one database has for its own sake: the whole-market feed reads by it."""


@contextmanager
def connected(settings: Settings) -> Iterator[Connection]:
    url = settings.store.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url or f"sqlite:///{sqlite_path(settings)}")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def is_ours(name: str | None, kind: str, parents: dict[str, str | None]) -> bool:
    if kind == "table":
        return name is not None and not name.startswith(BESIDE_THE_TABLES)
    if kind == "column":
        return (parents["table_name"], name) not in ONLY_ON_POSTGRESQL
    return True


@pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")
def test_the_tables_are_what_the_migrations_make(settings: Settings):
    assert all(room.__doc__ for room in ROOMS)
    with connected(settings) as connection:
        context = MigrationContext.configure(connection, opts={"include_name": is_ours})

        drift = compare_metadata(context, metadata)

    assert [change for change in drift if not _is_of_the_feed(change)] == []


def _is_of_the_feed(change: tuple) -> bool:
    return change[0] == "remove_index" and change[1].name == "ix_stream_entries_xid_position"


def test_every_migration_can_be_undone_and_done_again(settings: Settings):
    downgrade(settings, revision="base")
    with connected(settings) as connection:
        left = set(inspect(connection).get_table_names())
    migrate(settings)

    with connected(settings) as connection:
        back = set(inspect(connection).get_table_names())
    assert left == {"alembic_version"}
    assert {"orders", "postings", "stream_entries"} <= back


@pytest.mark.parametrize(
    "statement",
    ["UPDATE stream_entries SET recorded_at = 1", "DELETE FROM stream_entries"],
)
def test_no_statement_changes_a_recorded_entry(settings: Settings, statement: str):
    entry = (
        'INSERT INTO stream_entries (stream_id, "offset", recorded_at, data) '
        "VALUES ('s', 0, 0, '')"
    )
    with connected(settings) as connection:
        connection.execute(
            text(
                "INSERT INTO streams (id, next_offset, head, is_closed, created_at) "
                "VALUES ('s', 1, '', 0, 0)"
            )
        )
        connection.execute(text(entry))

        with pytest.raises(DBAPIError, match="append-only"):
            connection.execute(text(statement))
