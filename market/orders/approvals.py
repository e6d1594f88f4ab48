"""A human's signed decision over an order that waits: read, held against the order, used once."""

from datetime import timedelta
from typing import Any, Final

import msgspec

from market import identity
from market.base.caller import Caller, Signed
from market.base.clock import EPOCH
from market.base.work import UnitOfWork
from market.orders.errors import DecisionMismatch, DecisionNeeded, DecisionUsed
from market.protocol.canonical import digest
from market.protocol.commitments import DECISION, DecisionClaims
from market.protocol.wire import Control

MAX_DECISION_SECONDS: Final = 3_600
"""The longest life of a decision, from ``iat`` to ``exp``."""

Decision = Signed[DecisionClaims]


def read_decision(uow: UnitOfWork, caller: Caller, request: Control) -> Decision | None:
    """Return what a human signed with an intervention, if anything.

    Raises:
        BadCommitment: it is not the caller's, not for this market, or has expired.
        DecisionMismatch: it is sent with another intervention than to approve or deny one order,
            says the other thing, or would live too long.
    """
    if request.decision is None:
        return None
    signed = caller.open(request.decision, typ=DECISION, claims=DecisionClaims, now=uow.now)
    claims = signed.claims
    if request.scope != "order" or claims.decision != request.action:
        raise DecisionMismatch(
            f"The decision is to {claims.decision} one order; the intervention is not.",
            field="decision",
        )
    if claims.reason != request.reason:
        raise DecisionMismatch("Sign the reason that you give.", field="reason")
    if not 0 < claims.exp - claims.iat <= MAX_DECISION_SECONDS:
        raise DecisionMismatch(
            f"A decision lives at most {MAX_DECISION_SECONDS} s (exp - iat).", field="exp"
        )
    return signed


def use_decision(uow: UnitOfWork, row: Any, decision: Decision | None) -> dict[str, str]:
    """Use up a decision over an order; return what the log keeps of it, for ever.

    Raises:
        DecisionMismatch: it is over another order, or another price.
        DecisionUsed: its ``jti`` was used before.
    """
    if decision is None:
        return {}
    claims = decision.claims
    for field, said, meant in (
        ("order_id", claims.order_id, row.id),
        ("amount_minor", claims.amount_minor, row.amount_minor),
        ("currency", claims.currency, row.currency),
    ):
        if said != meant:
            raise DecisionMismatch(f"The signed {field} is not the order's.", field=field)
    until = EPOCH + timedelta(seconds=claims.exp)
    if not identity.use_up(uow, claims.iss, "decision", claims.jti, until):
        raise DecisionUsed("Sign a new decision, with a new jti.", jti=claims.jti)
    return {"decision": decision.token, "digest": digest(msgspec.to_builtins(claims))}


def need_decision(decision: Decision | None) -> Decision:
    """Return the decision without which nobody's money is spent above the limit.

    Raises:
        DecisionNeeded: there is none.
    """
    if decision is None:
        raise DecisionNeeded(
            "Send a decision+jwt over this one order (decision), signed by you, to approve it."
        )
    return decision
