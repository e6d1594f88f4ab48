"""Statements: SQLAlchemy Core expressions, compiled to text once at import, for both databases.

Executing Core costs five times a bare driver call (``performance.md`` 6.1), so a statement is
compiled when its module is imported and runs as text on the driver's own connection. Binding and
result processors are thereby left out; the three column types that need one (moments, JSON trees,
flags) are converted here and nowhere else.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Select,
    Table,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.compiler import SQLCompiler

from market.base.clock import from_micros, to_micros
from market.base.tables import Flag, JsonText, UtcDateTime
from market.protocol.canonical import canonical

Dialect = Literal["sqlite", "postgresql"]
Converter = Callable[[Any], Any]

_DIALECTS: Final = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": postgresql.psycopg.dialect(paramstyle="pyformat"),  # type: ignore[no-untyped-call]
}


class PerDialect(NamedTuple):
    """One statement in two forms, where the databases differ."""

    sqlite: Executable
    postgresql: Executable


class Compiled(NamedTuple):
    """One dialect's text, the parameters it always has, and the conversions on both ways."""

    text: str
    constants: dict[str, Any]
    writers: tuple[tuple[str, Converter], ...]
    readers: tuple[tuple[int, Converter], ...]
    make_row: Callable[[Iterable[Any]], Any]
    in_order: Callable[[dict[str, Any]], Any]

    def bind(self, parameters: dict[str, Any]) -> Any:
        """Turn ``parameters`` into the driver's, in place, and return them as it wants them."""
        if self.constants:
            parameters.update(self.constants)
        for name, write in self.writers:
            if parameters[name] is not None:
                parameters[name] = write(parameters[name])
        return self.in_order(parameters)

    def row(self, values: Sequence[Any]) -> Any:
        """Return a driver's row as a named tuple of converted values."""
        if not self.readers:
            return self.make_row(values)
        converted = list(values)
        for place, read in self.readers:
            if converted[place] is not None:
                converted[place] = read(converted[place])
        return self.make_row(converted)


class Sql:
    """A statement ready to run: ``uow.one(Sql(select(...)), key=...)``.

    Parameters are the ``bindparam`` names, or the column names of a bare insert. Rows are named
    tuples of the selected columns, with moments aware, trees decoded and flags as booleans.
    """

    __slots__ = ("postgresql", "sqlite")

    def __init__(self, statement: Executable | PerDialect) -> None:
        forms = statement if isinstance(statement, PerDialect) else PerDialect(statement, statement)
        self.sqlite = _compile(forms.sqlite, "sqlite")
        self.postgresql = _compile(forms.postgresql, "postgresql")

    @classmethod
    def per_dialect(cls, *, sqlite: Executable, postgresql: Executable) -> "Sql":
        """Return a statement whose two forms differ."""
        return cls(PerDialect(sqlite, postgresql))

    def of(self, dialect: Dialect) -> Compiled:
        """Return the form that ``dialect`` understands."""
        return self.sqlite if dialect == "sqlite" else self.postgresql


def insert(table: Table, *, omit: Sequence[str] = ()) -> Executable:
    """Return an insert of every column but ``omit`` (those that the database fills in)."""
    return plain_insert(table).values(_columns(table, omit)).inline()


def insert_ignore(table: Table, *, omit: Sequence[str] = ()) -> PerDialect:
    """Return an insert that does nothing (zero rows) where a unique key is already there."""
    values = _columns(table, omit)
    return PerDialect(
        sqlite_insert(table).values(values).on_conflict_do_nothing().inline(),
        postgresql_insert(table).values(values).on_conflict_do_nothing().inline(),
    )


def upsert(
    table: Table, *, keys: Sequence[str], set_: Mapping[str, Any], omit: Sequence[str] = ()
) -> PerDialect:
    """Return an insert that changes the row with the same ``keys`` instead, if there is one.

    ``set_`` maps column names to expressions; in it ``table.c.x`` is the old value and
    ``bindparam("x")`` the one that was to be inserted.
    """
    values = _columns(table, omit)
    return PerDialect(
        sqlite_insert(table)
        .values(values)
        .on_conflict_do_update(index_elements=list(keys), set_=dict(set_))
        .inline(),
        postgresql_insert(table)
        .values(values)
        .on_conflict_do_update(index_elements=list(keys), set_=dict(set_))
        .inline(),
    )


def among(query: Select[Any], column: ColumnElement[Any], name: str) -> PerDialect:
    """Return ``query`` for the rows alone whose ``column`` is in the list of texts ``name``.

    The list is one parameter, as JSON: the statement is the same however long it is.
    """
    listed = bindparam(name, type_=JsonText())
    there = func.jsonb_array_elements_text(cast(listed, postgresql.JSONB))
    return PerDialect(
        query.where(column.in_(select(func.json_each(listed).table_valued("value").c.value))),
        query.where(column.in_(select(there))),
    )


def sum_of(expression: Any) -> Any:
    """Return the sum of integers as one: 0 of no rows, and no decimal on PostgreSQL."""
    return cast(func.coalesce(func.sum(expression), 0), BigInteger)


def _columns(table: Table, omit: Sequence[str]) -> dict[str, Any]:
    return {
        column.name: bindparam(column.name, type_=column.type)
        for column in table.columns
        if column.name not in omit
    }


def _compile(statement: Executable, dialect: Dialect) -> Compiled:
    compiled = statement.compile(dialect=_DIALECTS[dialect])  # type: ignore[attr-defined]
    assert isinstance(compiled, SQLCompiler)
    assert "POSTCOMPILE" not in str(compiled), "an expanding IN cannot be compiled ahead"
    constants = {
        name: value for name, value in compiled.params.items() if not compiled.binds[name].required
    }
    kinds = {name: bind.type for name, bind in compiled.binds.items() if name in compiled.params}
    writers = tuple(
        (name, _WRITERS[type(kind)]) for name, kind in kinds.items() if type(kind) in _WRITERS
    )
    # SQLAlchemy has no public road from a compiled statement to its result columns.
    columns = [entry.keyname for entry in compiled._result_columns]
    types = [entry.type for entry in compiled._result_columns]
    readers = tuple(
        (place, _READERS[type(kind)]) for place, kind in enumerate(types) if type(kind) in _READERS
    )
    make_row: Callable[[Iterable[Any]], Any] = tuple
    if columns:
        # What ``_make`` does, without a call of Python for every row.
        make_row = partial(tuple.__new__, namedtuple("Row", columns))
    in_order = _by_position(compiled.positiontup) if dialect == "sqlite" else _by_name
    return Compiled(str(compiled), constants, writers, readers, make_row, in_order)


def _by_name(parameters: dict[str, Any]) -> dict[str, Any]:
    return parameters


def _by_position(names: Sequence[str] | None) -> Callable[[dict[str, Any]], Any]:
    """Return what puts parameters in the order of their marks: SQLite finds names one by one."""
    if not names:
        return lambda parameters: ()
    if len(names) == 1:
        [name] = names
        return lambda parameters: (parameters[name],)
    return itemgetter(*names)


def _json_text(tree: Any) -> str:
    return canonical(tree).decode()


_WRITERS: Final[dict[type, Converter]] = {
    UtcDateTime: to_micros,
    JsonText: _json_text,
    Flag: int,
}
_READERS: Final[dict[type, Converter]] = {
    UtcDateTime: from_micros,
    JsonText: msgspec.json.decode,
    Flag: bool,
}
