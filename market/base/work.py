"""A unit of work: what a verb may touch. A snapshot: what a query may read."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from market.base.settings import Settings
from market.base.sql import Dialect, Sql
from market.protocol.ids import Ids
from market.protocol.signing import SigningKey


class Connection(Protocol):
    """What the two drivers' connections have in common."""

    def execute(self, text: str, parameters: Any = ..., /) -> Any: ...
    def close(self) -> None: ...


class Entry(msgspec.Struct, gc=False, eq=False):
    """One entry of a stream, shared in memory by all its readers.

    ``views`` lets a room keep what it makes of the bytes (a parsed head, a framed text), so that
    500 readers cost one encoding.
    """

    offset: int
    data: bytes
    views: dict[str, Any]


class Snapshot:
    """A consistent view of the store at one moment, for queries."""

    __slots__ = ("connection", "dialect", "now", "settings", "signer")

    def __init__(
        self,
        connection: Connection,
        dialect: Dialect,
        settings: Settings,
        signer: SigningKey,
        now: datetime,
    ) -> None:
        self.connection = connection
        self.dialect: Dialect = dialect
        self.settings = settings
        self.signer = signer
        self.now = now

    def one(self, sql: Sql, **parameters: Any) -> Any:
        """Return the first row, or None."""
        compiled = sql.of(self.dialect)
        values = self.connection.execute(compiled.text, compiled.bind(parameters)).fetchone()
        return None if values is None else compiled.row(values)

    def all(self, sql: Sql, **parameters: Any) -> list[Any]:
        """Return every row. The statement limits how many."""
        compiled = sql.of(self.dialect)
        rows = self.connection.execute(compiled.text, compiled.bind(parameters)).fetchall()
        return [compiled.row(values) for values in rows]


class UnitOfWork(Snapshot):
    """One change, whole or not at all. A verb gets it as its first argument and never commits.

    ``if_refused`` is written behind the roll-back, in the same commit, if the verb refuses: a
    refusal that must be remembered.
    """

    __slots__ = ("appended", "ids", "if_refused")

    def __init__(
        self,
        connection: Connection,
        dialect: Dialect,
        settings: Settings,
        signer: SigningKey,
        now: datetime,
        ids: Ids,
    ) -> None:
        super().__init__(connection, dialect, settings, signer, now)
        self.ids = ids
        self.appended: list[tuple[str, list[Entry]]] = []
        self.if_refused: Callable[[UnitOfWork], None] | None = None

    def new_id(self, prefix: str) -> str:
        """Return a new TypeID under ``prefix``."""
        return self.ids.new(prefix)

    def run(self, sql: Sql, **parameters: Any) -> int:
        """Execute a change and return how many rows it touched."""
        compiled = sql.of(self.dialect)
        cursor = self.connection.execute(compiled.text, compiled.bind(parameters))
        return int(cursor.rowcount)

    def run_many(self, sql: Sql, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute a change once for each row of parameters."""
        compiled = sql.of(self.dialect)
        bound = [compiled.bind(dict(row)) for row in rows]
        if isinstance(self.connection, sqlite3.Connection):
            self.connection.executemany(compiled.text, bound)
        else:
            self.connection.cursor().executemany(compiled.text, bound)  # type: ignore[attr-defined]

    def ring(self, stream_id: str, entries: list[Entry]) -> None:
        """Hand new entries to the readers that wait for them, once this work is on disk."""
        self.appended.append((stream_id, entries))
