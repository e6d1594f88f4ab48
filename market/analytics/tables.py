"""Frames that are tables of the rooms below: what to select, as text for either database.

The columns carry the names of ``schema``. Values come as the database keeps them (moments in
microseconds, flags as 0 and 1, lists as JSON); ``as_declared`` makes them what the schema says.
"""

from collections.abc import Callable
from typing import Any, Final

import polars as pl
from sqlalchemy import ColumnElement, Select, Text, cast, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import JSON

from market.analytics import schema
from market.analytics.schema import Frame
from market.base.sql import Dialect
from market.base.streams import entries, streams
from market.catalog.tables import services
from market.identity.tables import agents
from market.ledger.tables import accounts, postings, transactions
from market.orders.tables import chunks, orders
from market.recommendations.tables import recipients, recommendations
from market.reviews.tables import reviews
from market.sessions.tables import sessions
from market.trust import tables as trust

_DIALECTS: Final = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}  # type: ignore[no-untyped-call]


def _events(dialect: Dialect) -> Select[Any]:
    # Each database takes the members out of the JSON by the same operators.
    tree: ColumnElement[Any] = (
        cast(entries.c.data, Text)
        if dialect == "sqlite"
        else cast(func.convert_from(entries.c.data, "UTF8"), JSON)
    )

    def member(name: str) -> ColumnElement[Any]:
        return tree.op("->>")(name).label(name)

    return select(
        entries.c.stream_id.label("session_id"),
        entries.c.offset,
        member("kind"),
        member("stage"),
        member("actor_id"),
        member("order_id"),
        member("audience"),
        entries.c.recorded_at,
        cast(tree.op("->")("body"), Text).label("body"),
        member("hash"),
    ).join_from(sessions, entries, entries.c.stream_id == sessions.c.id)


def _sessions(dialect: Dialect) -> Select[Any]:
    return select(
        sessions.c.id.label("session_id"),
        sessions.c.buyer_id,
        sessions.c.principal_id,
        sessions.c.need,
        sessions.c.labels,
        sessions.c.source_session_id,
        sessions.c.source_offset,
        sessions.c.opened_at,
        sessions.c.closed_at,
        streams.c.next_offset,
        streams.c.head.label("head_hash"),
    ).join_from(sessions, streams, streams.c.id == sessions.c.id)


def _orders(dialect: Dialect) -> Select[Any]:
    names = [name for name in schema.ORDERS.columns if name != "order_id"]
    return select(orders.c.id.label("order_id"), *[orders.c[name] for name in names])


def _chunks(dialect: Dialect) -> Select[Any]:
    names = [name for name in schema.CHUNKS.columns if name not in {"order_id", "index"}]
    return select(
        chunks.c.order_id, chunks.c.chunk.label("index"), *[chunks.c[name] for name in names]
    )


def _postings(dialect: Dialect) -> Select[Any]:
    return (
        select(
            postings.c.transaction_id,
            postings.c.account_id,
            accounts.c.kind.label("account_kind"),
            accounts.c.owner_id,
            transactions.c.reason,
            transactions.c.order_id,
            postings.c.amount_minor,
            accounts.c.currency,
            postings.c.balance_minor,
            transactions.c.recorded_at,
        )
        .join_from(postings, transactions, transactions.c.id == postings.c.transaction_id)
        .join(accounts, accounts.c.id == postings.c.account_id)
    )


def _reviews(dialect: Dialect) -> Select[Any]:
    names = [name for name in schema.REVIEWS.columns if name != "review_id"]
    return select(reviews.c.id.label("review_id"), *[reviews.c[name] for name in names])


def _recommendations(dialect: Dialect) -> Select[Any]:
    names = ("from_id", "service_id", "slug", "order_id", "comment", "sent_at")
    return select(
        recipients.c.recommendation_id,
        recipients.c.recipient_id,
        *[recommendations.c[name] for name in names],
    ).join_from(recipients, recommendations, recommendations.c.id == recipients.c.recommendation_id)


def _agents(dialect: Dialect) -> Select[Any]:
    names = [name for name in schema.AGENTS.columns if name != "agent_id"]
    return select(agents.c.id.label("agent_id"), *[agents.c[name] for name in names])


def _services(dialect: Dialect) -> Select[Any]:
    names = [name for name in schema.SERVICES.columns if name != "service_id"]
    return select(services.c.id.label("service_id"), *[services.c[name] for name in names])


def _trust_facts(dialect: Dialect) -> Select[Any]:
    return select(*[trust.facts.c[name] for name in schema.TRUST_FACTS.columns])


def _trust_standings(dialect: Dialect) -> Select[Any]:
    return select(*[trust.standings.c[name] for name in schema.TRUST_STANDINGS.columns])


def _trust_batches(dialect: Dialect) -> Select[Any]:
    names = [name for name in schema.TRUST_BATCHES.columns if name != "batch"]
    number = cast(trust.batches.c.number, Text).label("batch")
    return select(number, *[trust.batches.c[name] for name in names])


SELECTS: Final[dict[str, Callable[[Dialect], Select[Any]]]] = {
    "events": _events,
    "sessions": _sessions,
    "orders": _orders,
    "chunks": _chunks,
    "postings": _postings,
    "reviews": _reviews,
    "recommendations": _recommendations,
    "agents": _agents,
    "services": _services,
    "trust_facts": _trust_facts,
    "trust_standings": _trust_standings,
    "trust_batches": _trust_batches,
}
"""What to select for each frame that is a table; the others are derived from these."""


def sql_of(frame: Frame, dialect: Dialect) -> str:
    """Return the statement that reads a frame in the order of its key.

    On SQLite the first row is a sentinel with an empty key and a value in every column: the driver
    takes the types from the first rows it sees, and would take a column of nulls for integers.
    """
    rows = str(
        SELECTS[frame.name](dialect).compile(
            dialect=_DIALECTS[dialect], compile_kwargs={"literal_binds": True}
        )
    )
    if dialect == "postgresql":
        # Byte order, as on SQLite, whatever the locale of the database.
        keys = [_byte_order(frame, name) for name in frame.key]
        return f"SELECT * FROM ({rows}) AS frame ORDER BY {', '.join(keys)}"  # noqa: S608 - ours
    sentinel = ", ".join(
        f'{_sentinel(column.dtype)} AS "{name}"' for name, column in frame.columns.items()
    )
    keys = [f'"{name}"' for name in frame.key]
    return f"SELECT {sentinel} UNION ALL {rows} ORDER BY {', '.join(keys)}"


def as_declared(rows: pl.LazyFrame, frame: Frame) -> pl.LazyFrame:
    """Return what ``sql_of`` read, with the types of the schema and without the sentinel."""
    return rows.filter(pl.col(frame.key[0]) != "").select(
        pl.col(name).str.json_decode(column.dtype)
        if isinstance(column.dtype, pl.List)
        else pl.col(name).cast(column.dtype)
        for name, column in frame.columns.items()
    )


def _byte_order(frame: Frame, name: str) -> str:
    is_text = isinstance(frame.columns[name].dtype, pl.String)
    return f'"{name}" COLLATE "C"' if is_text else f'"{name}"'


def _sentinel(dtype: pl.DataType) -> str:
    return "''" if isinstance(dtype, pl.String | pl.Enum | pl.List) else "0"
