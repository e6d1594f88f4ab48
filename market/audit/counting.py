"""What an audited store holds, counted."""

from typing import Any, Final

import msgspec
from sqlalchemy import case, func, select

from market.base.sql import Sql, sum_of
from market.base.streams import streams
from market.base.work import Snapshot
from market.ledger.tables import accounts, postings
from market.orders.tables import orders, receipts
from market.sessions.tables import sessions


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """Where the money of one currency lies. If nothing is wrong, minted is the sum of the rest."""

    currency: str
    minted_minor: int
    wallets_minor: int
    bonds_minor: int
    escrows_minor: int
    fees_minor: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a store holds. ``events`` are those of all sessions; ``orders`` are counted by state."""

    sessions: int
    events: int
    orders: dict[str, int]
    receipts: int
    postings: int
    money: list[Money]


def _held(kind: str) -> Any:
    return sum_of(case((accounts.c.kind == kind, postings.c.amount_minor), else_=0))


_SESSIONS: Final = Sql(
    select(
        func.count(sessions.c.id).label("sessions"),
        sum_of(streams.c.next_offset).label("events"),
    )
    .join_from(sessions, streams, streams.c.id == sessions.c.id)
)  # fmt: skip
_ORDERS: Final = Sql(
    select(orders.c.state, func.count().label("number"))
    .group_by(orders.c.state)
    .order_by(orders.c.state)
)
_RECEIPTS: Final = Sql(select(func.count().label("number")).select_from(receipts))
_POSTINGS: Final = Sql(select(func.count().label("number")).select_from(postings))
_MONEY: Final = Sql(
    select(
        accounts.c.currency,
        (-_held("issuance")).label("minted_minor"),
        _held("wallet").label("wallets_minor"),
        _held("bond").label("bonds_minor"),
        _held("escrow").label("escrows_minor"),
        _held("fees").label("fees_minor"),
    )
    .join_from(accounts, postings, postings.c.account_id == accounts.c.id)
    .group_by(accounts.c.currency)
    .order_by(accounts.c.currency)
)


def summary(snapshot: Snapshot) -> Summary:
    """Return the counts of a store, and where its money lies by its postings."""
    counted = snapshot.one(_SESSIONS)
    return Summary(
        sessions=counted.sessions,
        events=counted.events,
        orders={row.state: row.number for row in snapshot.all(_ORDERS)},
        receipts=snapshot.one(_RECEIPTS).number,
        postings=snapshot.one(_POSTINGS).number,
        money=[Money(**row._asdict()) for row in snapshot.all(_MONEY)],
    )
