"""Statements that read the frames which are tables, as text for either database."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
import polars as pl
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    cast,
    collate,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB

from market.analytics import schema
from market.analytics.schema import Frame
from market.analytics.tables import MARKS, OWNED, SELECTS
from market.analytics.unpacking import ENTRIES, unpacked
from market.base.sql import Dialect

_DIALECTS: Final = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}  # type: ignore[no-untyped-call]

Owned = Sequence[tuple[str, int]]
"""Owners of rows by id, in order, each with the first place that is wanted of it."""

Wanted = Literal["from", "at", "between"]


def sql_of(
    frame: Frame,
    dialect: Dialect,
    *,
    owned: Owned | None = None,
    how: Wanted = "from",
    after: str | int | None = None,
) -> str:
    """Return the statement that reads a frame in the order of its key.

    ``owned`` asks for some rows of a log alone: of each of these owners ``from`` a place on; those
    ``at`` a place; or ``between`` the first and the last owner, all there are. ``after`` asks for
    those of a frame in ``MARKS`` that are behind a mark.
    On SQLite the first row is a sentinel with an empty key and a value in every column: the driver
    takes the types from the first rows it sees, and would take a column of nulls for integers.
    """
    query = SELECTS[frame.name](dialect)
    if owned is not None:
        query = _of_owners(query, dialect, frame, owned, how)
    if after is not None:
        query = query.where(_in_bytes(MARKS[frame.name], dialect) > after)
    rows = _text(query, dialect)
    types = kept_types(frame)
    if dialect == "postgresql":
        # Byte order, as on SQLite, whatever the locale of the database.
        keys = [_byte_order(frame, name) for name in frame.key]
        return f"SELECT * FROM ({rows}) AS frame ORDER BY {', '.join(keys)}"  # noqa: S608 - ours
    sentinel = ", ".join(f'{_sentinel(dtype)} AS "{name}"' for name, dtype in types.items())
    keys = [f'"{name}"' for name in frame.key]
    return f"SELECT {sentinel} UNION ALL {rows} ORDER BY {', '.join(keys)}"


def count_of(frame: Frame, dialect: Dialect) -> str:
    """Return the statement that counts the rows of a frame."""
    if frame.name in MARKS:
        return _text(select(func.count()).select_from(MARKS[frame.name].table), dialect)
    rows = SELECTS[frame.name](dialect).subquery()
    return _text(select(func.count()).select_from(rows), dialect)


def kept_types(frame: Frame) -> pl.Schema:
    """Return the columns of a frame as ``sql_of`` reads them, of this kind at least."""
    return ENTRIES if frame is schema.EVENTS else frame.schema


def as_declared(rows: pl.LazyFrame, frame: Frame) -> pl.LazyFrame:
    """Return what ``sql_of`` read, with the types of the schema and without the sentinel."""
    rows = rows.filter(pl.col(frame.key[0]) != "")
    if frame is schema.EVENTS:
        return unpacked(rows.select(pl.col(name).cast(ENTRIES[name]) for name in ENTRIES))
    return rows.select(
        pl.col(name).str.json_decode(column.dtype)
        if isinstance(column.dtype, pl.List)
        else pl.col(name).cast(column.dtype)
        for name, column in frame.columns.items()
    )


def _of_owners(
    query: Select[Any], dialect: Dialect, frame: Frame, owned: Owned, how: Wanted
) -> Select[Any]:
    """Ask for the rows of these owners alone, from a place on of each.

    A PostgreSQL database compares text by its own locale, so there the owners are listed in any
    case; on SQLite a range is read in the order of the index.
    """
    owner, place = OWNED[frame.name]
    if dialect == "sqlite" and how == "between":
        return query.where(owner.between(owned[0][0], owned[-1][0]))
    listed = literal(msgspec.json.encode(owned).decode())
    if dialect == "sqlite":
        wanted = func.json_each(listed).table_valued("value", name="wanted")
    else:
        wanted = func.jsonb_array_elements(cast(listed, JSONB)).table_valued("value", name="wanted")
    member = wanted.c.value.op("->>")
    since = cast(member(1), BigInteger)
    return query.where(owner == member(0), place == since if how == "at" else place >= since)


def _in_bytes(column: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    is_text = isinstance(column.type, String)
    return collate(column, "C") if is_text and dialect == "postgresql" else column


def _text(query: Select[Any], dialect: Dialect) -> str:
    return str(query.compile(dialect=_DIALECTS[dialect], compile_kwargs={"literal_binds": True}))


def _byte_order(frame: Frame, name: str) -> str:
    is_text = isinstance(frame.columns[name].dtype, pl.String)
    return f'"{name}" COLLATE "C"' if is_text else f'"{name}"'


def _sentinel(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Binary):
        return "x''"
    return "''" if isinstance(dtype, pl.String | pl.Enum | pl.List) else "0"
