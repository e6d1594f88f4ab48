"""One balanced act on the ledger: the only way in which money moves."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, NoReturn

from sqlalchemy import BigInteger, bindparam, func, select, update

from market.base.errors import NotFound
from market.base.sql import Sql, insert, insert_ignore, sum_of
from market.base.work import Snapshot, UnitOfWork
from market.ledger.errors import (
    BalanceTooLarge,
    CurrencyMismatch,
    EscrowExceeded,
    InsufficientFunds,
    SelfTransfer,
    TransactionDiffers,
)
from market.ledger.tables import accounts, postings, transactions, unfolded_postings
from market.protocol.money import MAX_MINOR, Money

House = Literal["fees", "issuance"]
HOUSE: Final[tuple[House, ...]] = ("fees", "issuance")


class Leg(NamedTuple):
    """A change before it is recorded: + credits the account, - debits it.

    ``account_id`` may be ``fees`` or ``issuance``: the house, in the currency of the other legs.
    ``payer_id`` is given with the credit that fills an escrow. ``is_earning``: it counts towards
    what the account has earned.
    """

    account_id: str
    amount_minor: int
    payer_id: str | None = None
    is_earning: bool = False


class Transaction(NamedTuple):
    """A recorded act. ``repeated`` says that it was recorded before and nothing moved now."""

    id: str
    amount_minor: int
    recorded_at: datetime
    repeated: bool


_ADD_TRANSACTION = Sql(insert_ignore(transactions))
_ADD_POSTING = Sql(insert(postings))
_ADD_UNFOLDED = Sql(insert(unfolded_postings))
_CHANGE = bindparam("change_minor", type_=BigInteger())
_MOVED = accounts.c.balance_minor + _CHANGE
# The condition and the change are one statement: no two workers can both spend the last unit.
_UPDATE = update(accounts).where(
    accounts.c.id == bindparam("account_id"), _MOVED.between(0, MAX_MINOR)
)
_MOVE = Sql(
    _UPDATE.values(
        balance_minor=_MOVED,
        earned_minor=accounts.c.earned_minor + bindparam("earning_minor", type_=BigInteger()),
    ).returning(accounts.c.balance_minor, accounts.c.currency)
)
_FILL = Sql(
    _UPDATE.values(balance_minor=_MOVED, payer_id=bindparam("payer")).returning(
        accounts.c.balance_minor, accounts.c.currency
    )
)
_ACCOUNT = Sql(
    select(accounts.c.kind, accounts.c.balance_minor, accounts.c.currency).where(
        accounts.c.id == bindparam("account_id")
    )
)
_BY_KEY = Sql(
    select(
        transactions.c.id,
        transactions.c.reason,
        transactions.c.order_id,
        transactions.c.amount_minor,
        transactions.c.recorded_at,
    ).where(transactions.c.idempotency_key == bindparam("key"))
)
_CAPTURED = Sql(
    select(sum_of(-postings.c.amount_minor).label("captured_minor"))
    .join_from(accounts, postings, postings.c.account_id == accounts.c.id)
    .join(transactions, transactions.c.id == postings.c.transaction_id)
    .where(
        accounts.c.owner_id == bindparam("order_id"),
        accounts.c.kind == "escrow",
        transactions.c.reason == "escrow.capture",
    )
)
_fee_posting = postings.alias("fee_postings")
_fee_account = accounts.alias("fee_accounts")
_moved = (
    select(
        transactions.c.id,
        transactions.c.reason,
        transactions.c.amount_minor,
        func.coalesce(
            select(_fee_posting.c.amount_minor)
            .join_from(_fee_posting, _fee_account, _fee_account.c.id == _fee_posting.c.account_id)
            .where(
                _fee_posting.c.transaction_id == transactions.c.id, _fee_account.c.kind == "fees"
            )
            .scalar_subquery(),
            0,
        ).label("fee_minor"),
        transactions.c.recorded_at,
    )
)  # fmt: skip
_MOVED_IN_ESCROW = Sql(
    _moved.join_from(accounts, postings, postings.c.account_id == accounts.c.id)
    .join(transactions, transactions.c.id == postings.c.transaction_id)
    .where(accounts.c.owner_id == bindparam("order_id"), accounts.c.kind == "escrow")
)
_MOVED_UNDER = Sql(_moved.where(transactions.c.idempotency_key == bindparam("key")))
_AMOUNT = Sql(
    select(postings.c.amount_minor).where(
        postings.c.account_id == bindparam("account_id"),
        postings.c.transaction_id == bindparam("transaction_id"),
    )
)


def post(
    uow: UnitOfWork,
    legs: Sequence[Leg],
    *,
    reason: str,
    idempotency_key: str,
    order_id: str | None = None,
) -> Transaction | None:
    """Record legs that sum to zero as one transaction, and keep the balances.

    Legs of zero are left out; if nothing is left, nothing is recorded and None returned. A repeat
    with the same key returns the first transaction.

    Raises:
        InsufficientFunds: a wallet, or a bond, holds less than is asked of it.
        EscrowExceeded: an escrow does.
        CurrencyMismatch: the accounts hold different currencies.
        TransactionDiffers: the key stands for another act.
    """
    # Accounts in one order, so that two workers cannot hold each other's.
    legs = sorted((leg for leg in legs if leg.amount_minor), key=lambda leg: leg.account_id)
    assert sum(leg.amount_minor for leg in legs) == 0, "legs must sum to zero"
    if not legs:
        return None
    if len({leg.account_id for leg in legs}) < len(legs):
        raise SelfTransfer("Name two different accounts.")
    act = Transaction(uow.new_id("txn"), _moved_minor(legs), uow.now, repeated=False)
    added = uow.run(
        _ADD_TRANSACTION,
        id=act.id,
        reason=reason,
        order_id=order_id,
        idempotency_key=idempotency_key,
        amount_minor=act.amount_minor,
        recorded_at=act.recorded_at,
    )
    if not added:
        return _first(uow, legs, reason=reason, order_id=order_id, key=idempotency_key)
    _record(uow, act.id, legs)
    return act


def was_posted(snapshot: Snapshot, *, idempotency_key: str) -> bool:
    """Return whether an act was recorded under this key."""
    return snapshot.one(_BY_KEY, key=idempotency_key) is not None


def movements(snapshot: Snapshot, *, order_id: str, refunds: int) -> list[Any]:
    """Return the transactions of an order with so many refunds, oldest first.

    Rows of id, reason, amount_minor, fee_minor (+ to the house, - from it) and recorded_at.
    """
    rows = snapshot.all(_MOVED_IN_ESCROW, order_id=order_id)
    for number in range(1, refunds + 1):
        key = refund_key(order_id, number)
        rows += snapshot.all(_MOVED_UNDER, key=key)
        rows += snapshot.all(_MOVED_UNDER, key=draw_key(key))
    return sorted(rows, key=lambda row: row.id)


def captured_minor(uow: UnitOfWork, *, order_id: str) -> int:
    """Return what was captured from an order's escrow in all, fee included."""
    return int(uow.one(_CAPTURED, order_id=order_id).captured_minor)


def refunded_minor(uow: UnitOfWork, *, order_id: str, before: int) -> int:
    """Return what the refunds of an order came to, those with a number below ``before``."""
    keys = [refund_key(order_id, number) for number in range(1, before)]
    rows = [uow.one(_BY_KEY, key=key) for key in keys]
    return sum(int(row.amount_minor) for row in rows if row is not None)


def refund_key(order_id: str, number: int) -> str:
    """Return the idempotency key of one of an order's refunds, numbered from 1."""
    return f"{order_id}:refund" if number == 1 else f"{order_id}:refund:{number}"


def draw_key(payment_key: str) -> str:
    """Return the idempotency key of what a bond adds, so that the payment can be made."""
    return f"{payment_key}:bond"


def capture_key(order_id: str, part: int = 1) -> str:
    """Return the idempotency key of an order's captures, which are numbered from 1."""
    return f"{order_id}:capture" if part == 1 else f"{order_id}:capture:{part}"


def _record(uow: UnitOfWork, transaction_id: str, legs: Sequence[Leg]) -> None:
    currencies: set[str] = set()
    rows: list[dict[str, str | int | None]] = []
    for leg in legs:
        if leg.account_id in HOUSE:
            continue
        balance_minor, currency = _move(uow, leg)
        currencies.add(currency)
        rows.append(_row(transaction_id, leg.account_id, leg.amount_minor, balance_minor))
    if len(currencies) != 1:
        raise CurrencyMismatch(f"One transaction has one currency, not {sorted(currencies)}.")
    currency = currencies.pop()
    house = [
        _row(transaction_id, f"{leg.account_id}:{currency}", leg.amount_minor, None)
        for leg in legs
        if leg.account_id in HOUSE
    ]
    uow.run_many(_ADD_POSTING, rows + house)
    for row in house:
        del row["balance_minor"]
        uow.run(_ADD_UNFOLDED, **row)


def _row(
    transaction_id: str, account_id: str, amount_minor: int, balance_minor: int | None
) -> dict[str, str | int | None]:
    return {
        "transaction_id": transaction_id,
        "account_id": account_id,
        "amount_minor": amount_minor,
        "balance_minor": balance_minor,
    }


def _move(uow: UnitOfWork, leg: Leg) -> tuple[int, str]:
    """Change one balance and return what the account then holds, with its currency."""
    change = {"account_id": leg.account_id, "change_minor": leg.amount_minor}
    if leg.payer_id is None:
        earning_minor = leg.amount_minor if leg.is_earning else 0
        row = uow.one(_MOVE, earning_minor=earning_minor, **change)
    else:
        row = uow.one(_FILL, payer=leg.payer_id, **change)
    if row is None:
        _refuse(uow, leg)
    return row.balance_minor, row.currency


def _refuse(uow: UnitOfWork, leg: Leg) -> NoReturn:
    row = uow.one(_ACCOUNT, account_id=leg.account_id)
    if row is None:
        raise NotFound("There is no such account.")
    if leg.amount_minor > 0:
        raise BalanceTooLarge(f"An account holds at most {MAX_MINOR} minor units.")
    kind = InsufficientFunds if row.kind in ("wallet", "bond") else EscrowExceeded
    raise kind(
        f"The {row.kind} holds {Money(row.balance_minor, row.currency)}; "
        f"{Money(-leg.amount_minor, row.currency)} are needed.",
        amount_minor=-leg.amount_minor,
        available_minor=row.balance_minor,
    )


def _first(
    uow: UnitOfWork, legs: Sequence[Leg], *, reason: str, order_id: str | None, key: str
) -> Transaction:
    """Return the transaction that has this key already, if it is the same act."""
    row = uow.one(_BY_KEY, key=key)
    # The house has at most one leg, which follows from the others and the sum.
    is_same = (row.reason, row.order_id, row.amount_minor) == (reason, order_id, _moved_minor(legs))
    for leg in legs:
        if leg.account_id not in HOUSE:
            posted = uow.one(_AMOUNT, account_id=leg.account_id, transaction_id=row.id)
            is_same &= posted is not None and posted.amount_minor == leg.amount_minor
    if not is_same:
        raise TransactionDiffers("A key stands for one act; use a new one.", key=key)
    return Transaction(row.id, row.amount_minor, row.recorded_at, repeated=True)


def _moved_minor(legs: Sequence[Leg]) -> int:
    return sum(leg.amount_minor for leg in legs if leg.amount_minor > 0)
