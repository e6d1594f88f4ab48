"""Frames that are tables of the rooms below: what to select, as text for either database.

The columns carry the names of ``schema``. Values come as the database keeps them (moments in
microseconds, flags as 0 and 1, lists as JSON); ``as_declared`` makes them what the schema says.
"""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import (
    Column,
    Select,
    Text,
    cast,
    select,
)

from market.analytics import schema
from market.base.sql import Dialect
from market.base.streams import entries, streams
from market.catalog.tables import services
from market.identity.tables import agents
from market.ledger.tables import accounts, postings, transactions
from market.mandates.tables import mandates
from market.orders.tables import chunks, orders
from market.recommendations.tables import recipients, recommendations
from market.reviews.tables import reviews
from market.sessions.tables import sessions
from market.trust import tables as trust


def _events(dialect: Dialect) -> Select[Any]:
    # As they are kept: ``unpacking`` takes the JSON apart, faster than a database.
    return select(
        entries.c.stream_id.label("session_id"),
        entries.c.offset,
        entries.c.recorded_at,
        entries.c.data,
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
    ).join_from(orders, chunks, chunks.c.order_id == orders.c.id)


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


def _mandates(dialect: Dialect) -> Select[Any]:
    names = [name for name in schema.MANDATES.columns if name != "mandate_id"]
    return select(mandates.c.id.label("mandate_id"), *[mandates.c[name] for name in names])


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
    "mandates": _mandates,
    "services": _services,
    "trust_facts": _trust_facts,
    "trust_standings": _trust_standings,
    "trust_batches": _trust_batches,
}
"""What to select for each frame that is a table; the others are derived from these."""

OWNED: Final[dict[str, tuple[Column[Any], Column[Any]]]] = {
    "events": (sessions.c.id, entries.c.offset),
    "chunks": (orders.c.id, chunks.c.chunk),
}
"""Logs, whose rows each have an owner and a place there, which counts them without gaps."""

MARKS: Final[dict[str, Column[Any]]] = {
    "postings": postings.c.transaction_id,
    "trust_facts": trust.facts.c.number,
}
"""Other tables that only grow, by what grows with each row but for those that become visible late.
"""
