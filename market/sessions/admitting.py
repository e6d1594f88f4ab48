"""Sub-agents in a session: whom a participant may let in, and what the log says of it."""

from datetime import timedelta

from market.base.caller import Caller, Delegation, DelegationTooWide
from market.base.clock import EPOCH, rfc3339
from market.base.work import Snapshot, UnitOfWork
from market.protocol.commitments import DelegationClaims
from market.protocol.events import Audience
from market.sessions.views import is_at_work, is_open, viewer_of
from market.sessions.writing import NewEvent, append


def check_delegation(snapshot: Snapshot, *, delegator: Caller, claims: DelegationClaims) -> None:
    """Let pass a delegation that gives no more than its maker has.

    Raises:
        SessionNotFound: its maker takes no part in the session.
        DelegationTooWide: it is for no order of its maker's; a seller's is always for one.
    """
    session_id, order_id = claims.session_id, claims.order_id
    viewer = viewer_of(snapshot, caller=delegator, session_id=session_id)
    if order_id is None and not viewer.is_owner:
        raise DelegationTooWide("A seller delegates for one of its orders (order_id).")
    if order_id is not None:
        if viewer.is_owner:
            is_theirs = is_at_work(snapshot, session_id=session_id, order_id=order_id)
        else:
            is_theirs = order_id in viewer.order_ids
        if not is_theirs:
            raise DelegationTooWide("Its maker has no such order at work in this session.")


def tell_delegation(
    uow: UnitOfWork, *, delegator: Caller, claims: DelegationClaims, token: str
) -> None:
    """Say in the log that a sub-agent works for ``delegator`` from now on, with the proof of it.

    Raises:
        SessionClosed: the log is complete: nobody new is let in.
    """
    body = {
        "jti": claims.jti,
        "delegate_id": claims.sub,
        "actions": list(dict.fromkeys(claims.actions)),
        "run": claims.run,
        "expires_at": rfc3339(EPOCH + timedelta(seconds=claims.exp)),
        "delegation": token,
    }
    given = NewEvent(
        "delegation.given",
        delegator.agent_id,
        body,
        claims.order_id,
        audience=_audience(delegator),
    )
    append(uow, session_id=claims.session_id, events=[given])


def tell_revocation(
    uow: UnitOfWork, *, delegator: Caller, grant: Delegation, delegate_id: str, reason: str
) -> None:
    """Say in the log that a sub-agent's delegation was taken back; nothing once it is complete."""
    if not is_open(uow, session_id=grant.session_id):
        return
    body = {"jti": grant.jti, "delegate_id": delegate_id, "reason": reason}
    revoked = NewEvent(
        "delegation.revoked",
        delegator.agent_id,
        body,
        grant.order_id,
        audience=_audience(delegator),
    )
    append(uow, session_id=grant.session_id, events=[revoked])


def _audience(delegator: Caller) -> Audience:
    return "order" if delegator.kind == "seller" else "owner"
