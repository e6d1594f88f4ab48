"""Where facts come from: one snapshot of a store's database, as a stream of Arrow batches."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl
from adbc_driver_sqlite import StatementOptions
from adbc_driver_sqlite import dbapi as sqlite_driver

from market.base.sql import Dialect

try:
    from adbc_driver_postgresql import dbapi as postgres_driver  # type: ignore[import-untyped]
except ImportError:  # the `postgres` extra is not installed
    postgres_driver = None

BATCH_ROWS: Final = 4_096
"""Rows that SQLite's driver hands over at once."""


class NoFacts(ValueError):
    """There is nothing to analyse there; the message says what was looked for."""


class Source(NamedTuple):
    """An open database, seen as it was at one moment."""

    connection: Any
    dialect: Dialect

    @contextmanager
    def rows(self, sql: str) -> Iterator[pl.LazyFrame]:
        """Give the rows of a statement; they are read while the frame is collected, once."""
        options = (
            {StatementOptions.BATCH_ROWS.value: str(BATCH_ROWS)} if self.dialect == "sqlite" else {}
        )
        with closing(self.connection.cursor(adbc_stmt_kwargs=options)) as cursor:
            cursor.execute(sql)
            yield pl.scan_arrow_c_stream(cursor.fetch_arrow())


@contextmanager
def opened(store: str | Path) -> Iterator[Source]:
    """Give one snapshot of a store: a SQLite file, or a ``postgresql://`` address.

    A market may go on writing meanwhile: it is not held up, and nothing of it is seen.

    Raises:
        NoFacts: PostgreSQL's driver is not installed.
    """
    if isinstance(store, Path):
        with closing(sqlite_driver.connect(f"{store.absolute().as_uri()}?mode=ro")) as connection:
            yield Source(connection, "sqlite")
        return
    if postgres_driver is None:
        raise NoFacts("PostgreSQL needs the extra: pip install 'agent-market[postgres]'")
    with closing(postgres_driver.connect(store)) as connection:
        with closing(connection.cursor()) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield Source(connection, "postgresql")
        connection.rollback()
