"""Accounts: opening them, and what an agent sees of its own."""

from typing import Any

from sqlalchemy import bindparam, select

from market.base.clock import rfc3339
from market.base.errors import NotFound
from market.base.paging import before_of, page_of
from market.base.sql import PerDialect, Sql, insert_ignore, sum_of
from market.base.work import Snapshot, UnitOfWork
from market.ledger.errors import UnknownCurrency
from market.ledger.posting import HOUSE
from market.ledger.tables import accounts, is_filled, postings, transactions
from market.protocol.money import EXPONENTS
from market.protocol.wire import BalanceView, Page, PostingView, WalletView

_OPEN = Sql(insert_ignore(accounts))
_FIND = Sql(
    select(accounts.c.id).where(
        accounts.c.owner_id == bindparam("owner_id"),
        accounts.c.kind == bindparam("kind"),
        accounts.c.currency == bindparam("currency"),
    )
)
_balance = select(accounts.c.balance_minor).where(accounts.c.id == bindparam("account_id"))
_BALANCE = Sql(PerDialect(_balance, _balance.with_for_update()))
_WALLETS = Sql(
    select(accounts.c.id, accounts.c.currency, accounts.c.balance_minor)
    .where(accounts.c.owner_id == bindparam("agent_id"), accounts.c.kind == "wallet")
    .order_by(accounts.c.currency)
    .limit(len(EXPONENTS))
)
_HELD = Sql(
    select(sum_of(accounts.c.balance_minor).label("held_minor")).where(
        accounts.c.payer_id == bindparam("wallet_id"), is_filled
    )
)
_STATEMENT = Sql(
    select(
        postings.c.transaction_id,
        transactions.c.reason,
        transactions.c.order_id,
        postings.c.amount_minor,
        accounts.c.currency,
        postings.c.balance_minor,
        transactions.c.recorded_at,
    )
    .join_from(postings, transactions, transactions.c.id == postings.c.transaction_id)
    .join(accounts, accounts.c.id == postings.c.account_id)
    .where(
        postings.c.account_id == bindparam("account_id"),
        postings.c.transaction_id < bindparam("before"),
    )
    .order_by(postings.c.transaction_id.desc())
    .limit(bindparam("limit"))
)


def open_wallet(uow: UnitOfWork, *, agent_id: str, currency: str) -> str:
    """Return the id of an agent's wallet in ``currency``, opened empty if there was none.

    Raises:
        UnknownCurrency: the market has no such currency.
    """
    row = uow.one(_FIND, owner_id=agent_id, kind="wallet", currency=currency)
    if row is not None:
        return str(row.id)
    if currency not in EXPONENTS:
        raise UnknownCurrency(f"Use one of {', '.join(EXPONENTS)}.", currency=currency)
    for kind in HOUSE:
        _open(uow, f"{kind}:{currency}", kind=kind, owner_id="market", currency=currency)
    return _open_for(uow, kind="wallet", owner_id=agent_id, currency=currency)


def wallet_id(snapshot: Snapshot, *, agent_id: str, currency: str) -> str:
    """Return the id of an agent's wallet.

    Raises:
        NotFound: the agent has none in ``currency``.
    """
    row = snapshot.one(_FIND, owner_id=agent_id, kind="wallet", currency=currency)
    if row is None:
        raise NotFound(f"The agent has no wallet in {currency}.", currency=currency)
    return str(row.id)


def spendable_minor(uow: UnitOfWork, *, account_id: str) -> int:
    """Return what an account holds, and keep others from taking it until this work ends."""
    row = uow.one(_BALANCE, account_id=account_id)
    return 0 if row is None else int(row.balance_minor)


def open_escrow(uow: UnitOfWork, *, order_id: str, currency: str) -> str:
    """Return the id of an order's escrow, opened empty if there was none."""
    return _open_for(uow, kind="escrow", owner_id=order_id, currency=currency)


def open_bond(uow: UnitOfWork, *, seller_id: str, currency: str) -> str:
    """Return the id of a seller's bond in ``currency``, opened empty if there was none."""
    row = uow.one(_FIND, owner_id=seller_id, kind="bond", currency=currency)
    if row is not None:
        return str(row.id)
    return _open_for(uow, kind="bond", owner_id=seller_id, currency=currency)


def wallet(snapshot: Snapshot, *, agent_id: str) -> WalletView:
    """Return what an agent can spend, and what lies in the escrow of its open orders."""
    return WalletView(
        agent_id=agent_id,
        balances=[
            BalanceView(
                currency=row.currency,
                available_minor=row.balance_minor,
                held_minor=snapshot.one(_HELD, wallet_id=row.id).held_minor,
            )
            for row in snapshot.all(_WALLETS, agent_id=agent_id)
        ],
    )


def statement(
    snapshot: Snapshot, *, agent_id: str, cursor: str | None = None, limit: int = 100
) -> Page[PostingView]:
    """Return the postings of an agent's wallets, newest first."""
    before = before_of(cursor, "txn")
    rows: list[Any] = []
    # A page of each wallet holds the page of all: nobody's history is sorted to show its end.
    for account in snapshot.all(_WALLETS, agent_id=agent_id):
        rows += snapshot.all(_STATEMENT, account_id=account.id, before=before, limit=limit + 1)
    rows.sort(key=lambda row: row.transaction_id, reverse=True)
    return page_of(
        rows[: limit + 1], limit=limit, view=_view, key=lambda row: (row.transaction_id,)
    )


def _open_for(uow: UnitOfWork, *, kind: str, owner_id: str, currency: str) -> str:
    account_id = uow.new_id("acc")
    if _open(uow, account_id, kind=kind, owner_id=owner_id, currency=currency):
        return account_id
    return str(uow.one(_FIND, owner_id=owner_id, kind=kind, currency=currency).id)


def _open(uow: UnitOfWork, account_id: str, *, kind: str, owner_id: str, currency: str) -> int:
    return uow.run(
        _OPEN,
        id=account_id,
        kind=kind,
        owner_id=owner_id,
        currency=currency,
        balance_minor=0,
        earned_minor=0,
        payer_id=None,
        opened_at=uow.now,
    )


def _view(row: Any) -> PostingView:
    return PostingView(
        transaction_id=row.transaction_id,
        reason=row.reason,
        order_id=row.order_id,
        amount_minor=row.amount_minor,
        currency=row.currency,
        balance_minor=row.balance_minor,
        recorded_at=rfc3339(row.recorded_at),
    )
