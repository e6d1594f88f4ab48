"""Who gives what of a refund, and whether the seller can: its wallet, and when its bond too."""

from typing import Any

from market import ledger
from market.base.work import UnitOfWork
from market.orders.debts import judged_elsewhere_minor
from market.orders.hanging import hanging
from market.protocol.pricing import Split, given_back


def parts_of(row: Any, amount_minor: int) -> Split:
    """Return who gives what of the next ``amount_minor``, by subtraction from what they got."""
    rest_minor = row.captured_minor - row.fee_minor - row.referral_minor
    shares = Split(row.fee_minor, row.referral_minor, rest_minor)
    return given_back(shares, amount_minor, before_minor=row.refunded_minor)


def is_covered(uow: UnitOfWork, row: Any, amount_minor: int, *, is_judged: bool) -> bool:
    """Whether the seller can pay its part of a decided refund; keeps others from its money."""
    wallet_id = ledger.open_wallet(uow, agent_id=row.seller_id, currency=row.currency)
    parts = parts_of(row, amount_minor)
    needed_minor = parts.seller_minor
    if not referrer_covers(uow, row, parts.referral_minor):
        needed_minor += parts.referral_minor
    missing_minor = needed_minor - ledger.spendable_minor(uow, account_id=wallet_id)
    return missing_minor <= 0 or _bond_covers(uow, row, missing_minor, is_judged=is_judged)


def referrer_covers(uow: UnitOfWork, row: Any, referral_minor: int) -> bool:
    """Whether one who recommended can give its share back; if not, the seller bears it."""
    if not referral_minor:
        return True
    wallet_id = ledger.open_wallet(uow, agent_id=row.referrer_id, currency=row.currency)
    return ledger.spendable_minor(uow, account_id=wallet_id) >= referral_minor


def _bond_covers(uow: UnitOfWork, row: Any, missing_minor: int, *, is_judged: bool) -> bool:
    held_minor = ledger.spendable_bond_minor(uow, seller_id=row.seller_id, currency=row.currency)
    if held_minor < missing_minor:
        return False
    if is_judged:
        return True
    # What two agree on, or bring about, comes behind everybody who may still claim.
    spared_minor = judged_elsewhere_minor(uow, row)
    is_free = hanging(uow, seller_id=row.seller_id, besides=row.id) is None
    return is_free and held_minor - spared_minor >= missing_minor
