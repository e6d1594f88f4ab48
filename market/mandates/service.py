"""Verbs of the mandates room: give, revoke, spend, give back."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import BigInteger, bindparam, case, or_, select, update

from market import identity
from market.base.caller import Caller, Signed
from market.base.clock import EPOCH, rfc3339
from market.base.errors import MarketError, NotFound
from market.base.sql import Sql, insert_ignore
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.mandates.closing import Closed, check_form
from market.mandates.errors import (
    BadMandate,
    BuyerNotYours,
    MandateCurrency,
    MandateEnded,
    MandateRequired,
    MandateReused,
    PrincipalsOnly,
)
from market.mandates.limits import check_limits, check_spend, needs_approval
from market.mandates.tables import mandates
from market.mandates.views import mandate, no_such, period_of, used_of, view, visible
from market.protocol.commitments import Limits, MandateClaims
from market.protocol.money import EXPONENTS, Money
from market.protocol.wire import MandateView

MAX_LIFE: Final = timedelta(days=366)
"""The longest life of a mandate."""

_ADD = Sql(insert_ignore(mandates))
# What spending reads: not the signed texts, which would be the longest part of the row.
_LOCK = Sql(
    select(
        mandates.c.id, mandates.c.buyer_id, mandates.c.currency, mandates.c.limits,
        mandates.c.created_at, mandates.c.expires_at, mandates.c.revoked_at,
        mandates.c.period_seconds, mandates.c.period, mandates.c.spent_minor,
        mandates.c.period_spent_minor, mandates.c.orders, mandates.c.period_orders,
        mandates.c.agent_kid,
    )
    .where(mandates.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)  # fmt: skip
_BY_JTI = Sql(
    select(mandates).where(
        mandates.c.principal_id == bindparam("principal_id"), mandates.c.jti == bindparam("jti")
    )
)
_USABLE = Sql(
    select(mandates.c.id)
    .where(
        mandates.c.buyer_id == bindparam("buyer_id"),
        mandates.c.revoked_at.is_(None),
        mandates.c.expires_at > bindparam("now", type_=UtcDateTime()),
    )
    .order_by(mandates.c.id.desc())
    .limit(10)
)
_AMOUNT = bindparam("amount_minor", type_=BigInteger())
_PERIOD = bindparam("at_period", type_=BigInteger())
# A window never goes back: a worker whose clock is behind counts into the latest one.
_PERIOD_SPENT = _AMOUNT + case(
    (mandates.c.period >= _PERIOD, mandates.c.period_spent_minor), else_=0
)
_PERIOD_ORDERS = 1 + case((mandates.c.period >= _PERIOD, mandates.c.period_orders), else_=0)
_SPEND = Sql(
    update(mandates)
    .where(
        mandates.c.id == bindparam("mandate_id"),
        mandates.c.revoked_at.is_(None),
        mandates.c.expires_at > bindparam("now", type_=UtcDateTime()),
        or_(
            mandates.c.budget_minor.is_(None),
            mandates.c.spent_minor + _AMOUNT <= mandates.c.budget_minor,
        ),
        or_(mandates.c.max_orders.is_(None), mandates.c.orders < mandates.c.max_orders),
        or_(
            mandates.c.period_budget_minor.is_(None),
            mandates.c.period_budget_minor >= _PERIOD_SPENT,
        ),
        or_(
            mandates.c.period_max_orders.is_(None),
            mandates.c.period_max_orders >= _PERIOD_ORDERS,
        ),
    )
    .values(
        spent_minor=mandates.c.spent_minor + _AMOUNT,
        orders=mandates.c.orders + 1,
        period_spent_minor=_PERIOD_SPENT,
        period_orders=_PERIOD_ORDERS,
        period=case((mandates.c.period >= _PERIOD, mandates.c.period), else_=_PERIOD),
    )
)
_GIVE_BACK = Sql(
    update(mandates)
    .where(mandates.c.id == bindparam("mandate_id"))
    .values(
        spent_minor=mandates.c.spent_minor - _AMOUNT,
        period_spent_minor=mandates.c.period_spent_minor
        - case((mandates.c.period == _PERIOD, _AMOUNT), else_=0),
    )
)
_REVOKE = Sql(
    update(mandates)
    .where(mandates.c.id == bindparam("mandate_id"), mandates.c.revoked_at.is_(None))
    .values(
        revoked_at=bindparam("at", type_=UtcDateTime()),
        revoked_by=bindparam("agent_id"),
        revocation_reason=bindparam("reason"),
    )
)


class Terms(NamedTuple):
    """What a mandate comes to: for whom, under which name, how much, until when."""

    buyer_id: str
    jti: str
    currency: str
    limits: Limits
    exp: int


def give(uow: UnitOfWork, *, caller: Caller, signed: Signed[MandateClaims]) -> MandateView:
    """Let a buyer spend, within the signed limits. The same text again returns the first mandate.

    Raises:
        BuyerNotYours: the buyer does not act for the caller.
        BadMandate: limits, currency or expiry cannot be.
        MandateReused: the ``jti`` stands for another mandate.
    """
    caller.need("pay")
    claims = signed.claims
    check_buyer(uow, caller, claims.buyer_id)
    check_limits(claims.limits)
    if claims.currency not in EXPONENTS:
        raise BadMandate(f"The currency must be one of {', '.join(EXPONENTS)}.")
    check_end(uow, claims.exp)
    terms = Terms(claims.buyer_id, claims.jti, claims.currency, claims.limits, claims.exp)
    return keep(uow, principal_id=caller.agent_id, terms=terms, text=signed.token)


def keep(
    uow: UnitOfWork,
    *,
    principal_id: str,
    terms: Terms,
    text: str,
    principal_jwk: dict[str, str] | None = None,
    agent_kid: str | None = None,
    open_checkout: str | None = None,
) -> MandateView:
    """Keep a mandate that was checked; the same ``text`` again returns the first mandate.

    Raises:
        MandateReused: the ``jti`` stands for another mandate.
    """
    limits = terms.limits
    added = uow.run(
        _ADD,
        id=uow.new_id("mdt"),
        principal_id=principal_id,
        buyer_id=terms.buyer_id,
        jti=terms.jti,
        currency=terms.currency,
        limits=msgspec.to_builtins(limits),
        mandate=text,
        created_at=uow.now,
        expires_at=EPOCH + timedelta(seconds=terms.exp),
        revoked_at=None,
        revoked_by=None,
        revocation_reason=None,
        budget_minor=limits.budget_minor,
        period_budget_minor=limits.period_budget_minor,
        period_seconds=limits.period_seconds,
        max_orders=limits.max_orders,
        period_max_orders=limits.period_max_orders,
        spent_minor=0,
        period=0,
        period_spent_minor=0,
        orders=0,
        period_orders=0,
        principal_jwk=principal_jwk,
        agent_kid=agent_kid,
        open_checkout=open_checkout,
    )
    row = uow.one(_BY_JTI, principal_id=principal_id, jti=terms.jti)
    if not added and (row.mandate, row.open_checkout) != (text, open_checkout):
        raise MandateReused("Give each mandate a jti of its own.", mandate_id=row.id)
    return view(row, uow.now)


def revoke(uow: UnitOfWork, *, caller: Caller, mandate_id: str, reason: str) -> MandateView:
    """End a mandate: nothing more is spent under it. A repeat changes nothing.

    Raises:
        PrincipalsOnly: the caller may see it, but not end it.
        NotFound: there is none, or it is not the caller's to see.
    """
    row = visible(uow, caller, mandate_id)
    if row.principal_id != caller.agent_id and not caller.is_overseer:
        raise PrincipalsOnly("Ask the principal to revoke the mandate.")
    caller.need("oversee")
    uow.run(_REVOKE, mandate_id=mandate_id, at=uow.now, agent_id=caller.agent_id, reason=reason)
    return mandate(uow, caller=caller, mandate_id=mandate_id)


def spend(
    uow: UnitOfWork,
    *,
    mandate_id: str,
    buyer_id: str,
    seller_id: str,
    tags: Sequence[str],
    amount_minor: int,
    currency: str,
    closed: Closed | None = None,
) -> int | None:
    """Take an order's price out of a mandate.

    Returns the amount above which a human must approve, if this order is above it, else None.
    ``closed`` is what closes a mandate of AP2's, for this very quote; such a mandate needs it.

    Holds under any number of parallel orders: the counters change by one conditional statement.

    Raises:
        NotFound: the buyer has no such mandate.
        MandateEnded: it has expired or was revoked.
        MandateCurrency: it is for another currency.
        MandateForbids: it does not allow this seller or kind of service.
        MandateExceeded: the price is above what a limit leaves.
        Ap2Refused: it needs to be closed and is not, or not for this.
    """
    # The row is held until commit, so what is checked here is what the update finds.
    row = uow.one(_LOCK, id=mandate_id)
    if row is None or row.buyer_id != buyer_id:
        raise no_such()
    limits = msgspec.convert(row.limits, Limits)
    try:
        _refuse_ended(row, uow.now)
        price = Money(amount_minor, currency)
        _check(row, limits, uow.now, seller_id=seller_id, tags=tags, price=price)
    except MarketError as refusal:
        if row.agent_kid is not None:
            refusal.facts["ap2_error"] = "invalid_mandate"
        raise
    if row.agent_kid is not None or closed is not None:
        check_form(row, closed, used_of(row, uow.now), now=uow.now, issuer=uow.settings.issuer)
    touched = uow.run(
        _SPEND,
        mandate_id=mandate_id,
        amount_minor=amount_minor,
        at_period=period_of(row, uow.now),
        now=uow.now,
    )
    assert touched == 1, "the limits and the counters must agree"
    return limits.approval_over_minor if needs_approval(limits, amount_minor) else None


def give_back(
    uow: UnitOfWork, *, mandate_id: str, amount_minor: int, spent_at: datetime | None = None
) -> None:
    """Return the unused part of an order's price to the budget; the order still counts as one.

    The period's budget gets it too if the order was placed (``spent_at``) in the present window;
    without that moment it does not, since an older window's money must not be spent in this one.
    """
    row = uow.one(_LOCK, id=mandate_id)
    period = -1 if spent_at is None else period_of(row, spent_at)
    uow.run(_GIVE_BACK, mandate_id=mandate_id, amount_minor=amount_minor, at_period=period)


def require_for(snapshot: Snapshot, caller: Caller) -> None:
    """Refuse a caller that acts for a principal and names no mandate.

    Raises:
        MandateRequired: it must; ``mandate_ids`` are those that it could name.
    """
    if caller.principal_id is not None:
        rows = snapshot.all(_USABLE, buyer_id=caller.agent_id, now=snapshot.now)
        raise MandateRequired(
            "Name a mandate of your principal in the order.",
            mandate_ids=[row.id for row in rows],
        )


def check_buyer(uow: UnitOfWork, caller: Caller, buyer_id: str) -> None:
    """Refuse with ``BuyerNotYours`` a buyer that does not act for the caller."""
    try:
        buyer = identity.agent(uow, agent_id=buyer_id)
    except NotFound:
        buyer = None
    if buyer is None or buyer.kind != "buyer" or buyer.principal_id != caller.agent_id:
        raise BuyerNotYours("The buyer must have named you as its principal when it registered.")


def check_end(uow: UnitOfWork, exp: int) -> None:
    """Refuse with ``BadMandate`` one that would live too long."""
    latest = (uow.now + MAX_LIFE - EPOCH) // timedelta(seconds=1)
    if exp > latest:
        raise BadMandate(f"A mandate lives at most {MAX_LIFE.days} days (exp).")


def _check(
    row: Any, limits: Limits, now: datetime, *, seller_id: str, tags: Sequence[str], price: Money
) -> None:
    if price.currency != row.currency:
        raise MandateCurrency(
            f"The mandate is for {row.currency}, the price in {price.currency}.", limit="currency"
        )
    check_spend(limits, used_of(row, now), seller_id=seller_id, tags=tags, price=price)


def _refuse_ended(row: Any, now: datetime) -> None:
    if row.revoked_at is not None:
        raise MandateEnded(
            "The mandate was revoked.", limit="revoked", ended_at=rfc3339(row.revoked_at)
        )
    if row.expires_at <= now:
        raise MandateEnded(
            "The mandate has expired.", limit="expires_at", ended_at=rfc3339(row.expires_at)
        )
