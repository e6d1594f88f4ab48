"""The house: fees and issuance. No order updates its balances; a chore folds its postings in."""

from collections import Counter

from sqlalchemy import BigInteger, bindparam, cast, delete, func, select, tuple_, update

from market.base.sql import Sql
from market.base.work import Snapshot, UnitOfWork
from market.ledger.posting import House
from market.ledger.tables import accounts, unfolded_postings

MAX_FOLD = 5_000
"""Postings that one fold takes in, at most."""

_TAKE = Sql(
    delete(unfolded_postings)
    .where(
        tuple_(unfolded_postings.c.account_id, unfolded_postings.c.transaction_id).in_(
            select(unfolded_postings.c.account_id, unfolded_postings.c.transaction_id).limit(
                bindparam("limit")
            )
        )
    )
    .returning(unfolded_postings.c.account_id, unfolded_postings.c.amount_minor)
)
_FOLD = Sql(
    update(accounts)
    .where(accounts.c.id == bindparam("account_id"))
    .values(balance_minor=accounts.c.balance_minor + bindparam("folded_minor", type_=BigInteger()))
)
_HOUSE_BALANCE = Sql(
    select(
        cast(
            accounts.c.balance_minor
            + func.coalesce(
                select(func.sum(unfolded_postings.c.amount_minor))
                .where(unfolded_postings.c.account_id == accounts.c.id)
                .scalar_subquery(),
                0,
            ),
            BigInteger,
        ).label("balance_minor")
    ).where(accounts.c.id == bindparam("account_id"))
)


def fold_house(uow: UnitOfWork) -> int:
    """Take waiting postings of the house into its balances; return how many, ``MAX_FOLD`` at most.

    Safe at any time and in any number of workers: each posting is taken once.
    """
    taken = uow.all(_TAKE, limit=MAX_FOLD)
    sums: Counter[str] = Counter()
    for row in taken:
        sums[row.account_id] += row.amount_minor
    for account_id, folded_minor in sorted(sums.items()):
        uow.run(_FOLD, account_id=account_id, folded_minor=folded_minor)
    return len(taken)


def house_balance(snapshot: Snapshot, *, kind: House, currency: str) -> int:
    """Return what the house has taken in fees, or issued (below zero), in minor units."""
    row = snapshot.one(_HOUSE_BALANCE, account_id=f"{kind}:{currency}")
    return 0 if row is None else int(row.balance_minor)
