"""What must always be true of the ledger, as queries that return what is not.

The numbers are those of ``performance.md`` section 4. Each function returns one line of text per
offending row, ``MAX_LINES`` at most; an empty list is a proof. They read every row: run them in a
scan.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Select, case, cast, func, or_, select

from market.base.sql import Sql, sum_of
from market.base.work import Snapshot
from market.ledger.tables import accounts, postings, transactions, unfolded_postings

MAX_LINES: Final = 100


class Escrow(NamedTuple):
    """What went into an order's escrow, and what came out on which way."""

    order_id: str
    currency: str
    balance_minor: int
    held_minor: int
    captured_minor: int
    voided_minor: int


def _limited(query: Select[Any]) -> Sql:
    return Sql(query.limit(MAX_LINES))


_POSTED = (
    select(postings.c.account_id, sum_of(postings.c.amount_minor).label("posted_minor"))
    .group_by(postings.c.account_id)
    .subquery()
)
_WAITING = (
    select(unfolded_postings.c.account_id, sum_of(unfolded_postings.c.amount_minor).label("minor"))
    .group_by(unfolded_postings.c.account_id)
    .subquery()
)
_WHOLE_BALANCE = accounts.c.balance_minor + func.coalesce(_WAITING.c.minor, 0)

_UNBALANCED = _limited(
    select(
        transactions.c.id,
        transactions.c.amount_minor,
        func.count(postings.c.account_id).label("legs"),
        sum_of(postings.c.amount_minor).label("sum_minor"),
        sum_of(case((postings.c.amount_minor > 0, postings.c.amount_minor))).label("credits_minor"),
    )
    .outerjoin_from(transactions, postings, postings.c.transaction_id == transactions.c.id)
    .group_by(transactions.c.id, transactions.c.amount_minor)
    .having(
        or_(
            func.count(postings.c.account_id) < 2,
            sum_of(postings.c.amount_minor) != 0,
            sum_of(case((postings.c.amount_minor > 0, postings.c.amount_minor)))
            != transactions.c.amount_minor,
        )
    )
)
_ORPHANED = _limited(
    select(postings.c.transaction_id, postings.c.account_id)
    .outerjoin_from(postings, transactions, transactions.c.id == postings.c.transaction_id)
    .outerjoin(accounts, accounts.c.id == postings.c.account_id)
    .where(or_(transactions.c.id.is_(None), accounts.c.id.is_(None)))
)
_DRIFTED = _limited(
    select(
        accounts.c.id,
        cast(_WHOLE_BALANCE, BigInteger).label("balance_minor"),
        func.coalesce(_POSTED.c.posted_minor, 0).label("posted_minor"),
    )
    .outerjoin_from(accounts, _POSTED, _POSTED.c.account_id == accounts.c.id)
    .outerjoin(_WAITING, _WAITING.c.account_id == accounts.c.id)
    .where(func.coalesce(_POSTED.c.posted_minor, 0) != _WHOLE_BALANCE)
)
_NEGATIVE = _limited(
    select(accounts.c.id, accounts.c.kind, accounts.c.balance_minor).where(
        accounts.c.kind != "fees", accounts.c.kind != "issuance", accounts.c.balance_minor < 0
    )
)


def _flow(reason: str) -> Any:
    return sum_of(case((transactions.c.reason == reason, postings.c.amount_minor)))


_FLOWS = (
    select(
        accounts.c.owner_id.label("order_id"),
        accounts.c.currency,
        accounts.c.balance_minor,
        _flow("escrow.hold").label("held_minor"),
        (-_flow("escrow.capture")).label("captured_minor"),
        (-_flow("escrow.void")).label("voided_minor"),
    )
    .outerjoin_from(accounts, postings, postings.c.account_id == accounts.c.id)
    .outerjoin(transactions, transactions.c.id == postings.c.transaction_id)
    .where(accounts.c.kind == "escrow")
    .group_by(accounts.c.owner_id, accounts.c.currency, accounts.c.balance_minor)
)
_ESCROWS = Sql(_FLOWS.order_by(accounts.c.owner_id))
_LEAKING = _limited(
    _FLOWS.having(
        accounts.c.balance_minor
        != _flow("escrow.hold") + _flow("escrow.capture") + _flow("escrow.void")
    )
)
_MIXED = _limited(
    select(
        postings.c.transaction_id,
        func.min(accounts.c.currency).label("one"),
        func.max(accounts.c.currency).label("other"),
    )
    .join_from(postings, accounts, accounts.c.id == postings.c.account_id)
    .group_by(postings.c.transaction_id)
    .having(func.min(accounts.c.currency) != func.max(accounts.c.currency))
)
_IS_ISSUANCE = accounts.c.kind == "issuance"
_MINTED = (
    select(accounts.c.currency, sum_of(-postings.c.amount_minor).label("minted_minor"))
    .join_from(postings, accounts, accounts.c.id == postings.c.account_id)
    .where(_IS_ISSUANCE)
    .group_by(accounts.c.currency)
    .subquery()
)
_SUPPLY = _limited(
    select(
        accounts.c.currency,
        sum_of(case((~_IS_ISSUANCE, _WHOLE_BALANCE))).label("kept_minor"),
        func.coalesce(_MINTED.c.minted_minor, 0).label("minted_minor"),
    )
    .outerjoin_from(accounts, _WAITING, _WAITING.c.account_id == accounts.c.id)
    .outerjoin(_MINTED, _MINTED.c.currency == accounts.c.currency)
    .group_by(accounts.c.currency, _MINTED.c.minted_minor)
    .having(
        sum_of(case((~_IS_ISSUANCE, _WHOLE_BALANCE))) != func.coalesce(_MINTED.c.minted_minor, 0)
    )
)


def unbalanced(snapshot: Snapshot) -> list[str]:
    """V1, V11: transactions whose postings do not sum to zero, or not to the recorded amount."""
    return [
        f"V1 transaction {row.id}: {row.legs} postings sum to {row.sum_minor}, "
        f"credits to {row.credits_minor} of {row.amount_minor}"
        for row in snapshot.all(_UNBALANCED)
    ] + [
        f"V1 posting of {row.transaction_id} on {row.account_id} has no transaction or no account"
        for row in snapshot.all(_ORPHANED)
    ]


def drifted(snapshot: Snapshot) -> list[str]:
    """V2: accounts whose balance is not the sum of their postings."""
    return [
        f"V2 account {row.id}: the balance is {row.balance_minor}, its postings sum to "
        f"{row.posted_minor}"
        for row in snapshot.all(_DRIFTED)
    ]


def negative(snapshot: Snapshot) -> list[str]:
    """V3: wallets and escrows below zero."""
    return [
        f"V3 {row.kind} {row.id}: the balance is {row.balance_minor}"
        for row in snapshot.all(_NEGATIVE)
    ]


def leaking(snapshot: Snapshot) -> list[str]:
    """V4: escrows that do not hold exactly what was held, less captured, less voided."""
    return [
        f"V4 escrow of {row.order_id}: {row.balance_minor} is not {row.held_minor} held "
        f"- {row.captured_minor} captured - {row.voided_minor} voided"
        for row in snapshot.all(_LEAKING)
    ]


def mixed(snapshot: Snapshot) -> list[str]:
    """V12: transactions over accounts of different currencies."""
    return [
        f"V12 transaction {row.transaction_id} mixes {row.one} and {row.other}"
        for row in snapshot.all(_MIXED)
    ]


def inflated(snapshot: Snapshot) -> list[str]:
    """V13: currencies of which the accounts hold more or less than was minted."""
    return [
        f"V13 {row.currency}: accounts hold {row.kept_minor}, minted were {row.minted_minor}"
        for row in snapshot.all(_SUPPLY)
    ]


INVARIANTS: Final[tuple[Callable[[Snapshot], list[str]], ...]] = (
    unbalanced,
    drifted,
    negative,
    leaking,
    mixed,
    inflated,
)


def check(snapshot: Snapshot) -> list[str]:
    """Return every way in which the ledger is broken; an empty list proves it whole."""
    return [line for invariant in INVARIANTS for line in invariant(snapshot)]


def escrows(snapshot: Snapshot) -> list[Escrow]:
    """Return the flows of every escrow that ever was, for who knows the orders' states (V4, V6)."""
    return [Escrow._make(row) for row in snapshot.all(_ESCROWS)]
