"""Who paid and who was paid: every posting of an order on an account that may have it."""

from typing import Final

from sqlalchemy import and_, case, func, or_, select

from market.audit.findings import MAX_ROWS, Finding
from market.base.sql import Sql, sum_of
from market.base.work import Snapshot
from market.ledger.tables import accounts, postings, transactions
from market.orders.tables import orders

_reason, _minor, _owner = transactions.c.reason, postings.c.amount_minor, accounts.c.owner_id
_is_buyer = _owner == orders.c.buyer_id
_is_paid = or_(
    _owner == orders.c.seller_id, _owner == func.coalesce(orders.c.referrer_id, orders.c.seller_id)
)
_is_rightful = or_(
    accounts.c.kind == "fees",
    and_(accounts.c.kind == "escrow", _owner == orders.c.id),
    and_(
        accounts.c.kind == "wallet",
        or_(
            and_(_reason == "escrow.hold", _minor < 0, _is_buyer),
            and_(_reason == "escrow.void", _minor > 0, _is_buyer),
            and_(_reason == "order.refund", _minor > 0, _is_buyer),
            and_(_reason == "escrow.capture", _minor > 0, _is_paid),
            and_(_reason == "order.refund", _minor < 0, _is_paid),
        ),
    ),
    # Its seller's bond stands in for the wallet, and may keep some of what was earned.
    and_(accounts.c.kind == "bond", _reason == "order.refund", _owner == orders.c.seller_id),
    and_(_reason.like("bond.%"), _owner == orders.c.seller_id),
)
_WRONGFUL: Final = Sql(
    select(transactions.c.id, _reason, orders.c.id.label("order_id"), _minor, _owner)
    .join_from(transactions, orders, orders.c.id == transactions.c.order_id)
    .join(postings, postings.c.transaction_id == transactions.c.id)
    .join(accounts, accounts.c.id == postings.c.account_id)
    .where(~_is_rightful)
    .limit(MAX_ROWS)
)
_net = orders.c.captured_minor - orders.c.fee_minor - orders.c.referral_minor
_paid = sum_of(case((_owner == orders.c.seller_id, _minor), else_=0))
_SHORT: Final = Sql(
    select(orders.c.id, _net.label("net_minor"), _paid.label("paid_minor"))
    .join_from(orders, transactions, transactions.c.order_id == orders.c.id)
    .join(postings, postings.c.transaction_id == transactions.c.id)
    .join(accounts, accounts.c.id == postings.c.account_id)
    .where(_reason == "escrow.capture", accounts.c.kind == "wallet")
    .group_by(orders.c.id, _net)
    .having(_paid != _net)
    .limit(MAX_ROWS)
)
_earned = (
    select(postings.c.account_id, sum_of(_minor).label("minor"))
    .join_from(postings, transactions, transactions.c.id == postings.c.transaction_id)
    .join(orders, orders.c.id == transactions.c.order_id)
    .join(accounts, accounts.c.id == postings.c.account_id)
    .where(
        accounts.c.kind == "wallet",
        _owner == orders.c.seller_id,
        or_(_reason == "escrow.capture", and_(_reason == "order.refund", _minor < 0)),
    )
    .group_by(postings.c.account_id)
    .subquery()
)
_earned_minor = func.coalesce(_earned.c.minor, 0)
_MISEARNED: Final = Sql(
    select(accounts.c.id, accounts.c.earned_minor, _earned_minor.label("moved_minor"))
    .outerjoin_from(accounts, _earned, _earned.c.account_id == accounts.c.id)
    .where(accounts.c.kind == "wallet", accounts.c.earned_minor != _earned_minor)
    .limit(MAX_ROWS)
)


def misearned(snapshot: Snapshot) -> list[Finding]:
    """Wallets whose count of what they earned is not what orders moved into and out of them."""
    return [
        Finding(
            rule="movements",
            where=f"account {row.id}",
            detail=f"expected {row.moved_minor} earned, found {row.earned_minor}",
        )
        for row in snapshot.all(_MISEARNED)
    ]


def wrongful(snapshot: Snapshot) -> list[Finding]:
    """V15: with the movements that the log tells, this makes every balance what the logs say."""
    return [
        Finding(
            rule="movements",
            where=f"transaction {row.id}",
            detail=f"{row.reason} of order {row.order_id}: expected its own parties alone, found "
            f"{row.amount_minor} on an account of {row.owner_id}",
        )
        for row in snapshot.all(_WRONGFUL)
    ] + [
        Finding(
            rule="movements",
            where=f"order {row.id}",
            detail=f"expected the seller to get {row.net_minor}, the capture less fee and referral;"
            f" found {row.paid_minor}",
        )
        for row in snapshot.all(_SHORT)
    ]
