"""Acts that touch two rooms of one floor: verbs put together, each still one unit of work."""

from market import catalog, identity, inbox, ledger, mandates, orders, sessions
from market.base.caller import Caller, Signed
from market.base.clock import rfc3339
from market.base.errors import NotFound
from market.base.work import Snapshot, UnitOfWork
from market.protocol.commitments import MandateClaims, RegistrationClaims
from market.protocol.wire import (
    AgentView,
    DelegationView,
    Fund,
    MandateView,
    OrderView,
    Page,
    WalletView,
)


def enter(uow: UnitOfWork, *, signed: Signed[RegistrationClaims]) -> AgentView:
    """Register an agent, with an empty inbox and a wallet; a sandbox may put money in, once."""
    settings = uow.settings
    agent = identity.register(uow, signed=signed)
    inbox.open_inbox(uow, agent_id=agent.id)
    ledger.open_wallet(uow, agent_id=agent.id, currency=settings.currency)
    is_granted = settings.mode == "sandbox" and agent.kind in ("buyer", "principal")
    if is_granted and settings.signup_grant_minor:
        ledger.mint(
            uow,
            agent_id=agent.id,
            amount_minor=settings.signup_grant_minor,
            currency=settings.currency,
            idempotency_key="signup",
        )
    return agent


def suspend(uow: UnitOfWork, *, caller: Caller, agent_id: str, reason: str) -> AgentView:
    """Shut an agent out, hide what it offers, deny what waits and pause what it has running.

    Of very many orders the first; chores go on with the others at once.
    """
    agent = identity.suspend(uow, caller=caller, agent_id=agent_id, reason=reason)
    orders.shut_out(uow, agent_id=agent_id, overseer_id=caller.agent_id, reason=reason)
    return agent


def reinstate(uow: UnitOfWork, *, caller: Caller, agent_id: str) -> AgentView:
    """Let an agent in again and show what it offers; its paused orders are for overseers."""
    agent = identity.reinstate(uow, caller=caller, agent_id=agent_id)
    catalog.reinstate_seller(uow, seller_id=agent_id)
    return agent


def admit_delegate(
    uow: UnitOfWork, *, handed: identity.Handed, assertion: identity.Assertion
) -> None:
    """Let a sub-agent into its session; the log tells of it at the delegation's first use."""
    claims = handed.claims
    delegator = identity.caller_of(uow, agent_id=claims.iss, scopes=())
    sessions.check_delegation(uow, delegator=delegator, claims=claims)
    if identity.redeem_delegation(uow, handed=handed, assertion=assertion):
        sessions.tell_delegation(uow, delegator=delegator, claims=claims, token=handed.token)


def revoke_delegation(uow: UnitOfWork, *, caller: Caller, jti: str, reason: str) -> DelegationView:
    """Take a delegation of the caller's back, used or not; a repeat changes nothing."""
    sessions.need_to_act(caller)
    view, ended = identity.revoke_delegation(uow, caller=caller, jti=jti)
    if ended is not None:
        assert view.delegate_id is not None, "it was used"
        sessions.tell_revocation(
            uow, delegator=caller, grant=ended, delegate_id=view.delegate_id, reason=reason
        )
    return view


def give_mandate(uow: UnitOfWork, *, caller: Caller, signed: Signed[MandateClaims]) -> MandateView:
    """Let a buyer spend, and tell it so."""
    mandate = mandates.give(uow, caller=caller, signed=signed)
    return _told(uow, mandate)


def give_ap2(uow: UnitOfWork, *, caller: Caller, opened: mandates.OpenedAp2) -> MandateView:
    """Let a buyer spend within AP2's constraints, and tell it so."""
    mandate = mandates.give_ap2(uow, caller=caller, opened=opened)
    return _told(uow, mandate)


def revoke_mandate(uow: UnitOfWork, *, caller: Caller, mandate_id: str, reason: str) -> MandateView:
    """End a mandate, deny what waits under it, and say so in the journeys and to the buyer.

    What is held stays held. A repeat changes nothing, and tells nobody again.
    """
    before = mandates.mandate(uow, caller=caller, mandate_id=mandate_id)
    mandate = mandates.revoke(uow, caller=caller, mandate_id=mandate_id, reason=reason)
    if before.revoked_at is None:
        orders.tell_revoked(uow, caller=caller, mandate=mandate, reason=reason)
        message = {"mandate_id": mandate.id, "reason": reason}
        inbox.deliver(uow, agent_id=mandate.buyer_id, kind="mandate.revoked", body=message)
    # What was denied came back into it.
    return mandates.mandate(uow, caller=caller, mandate_id=mandate_id)


def closed_order(
    snapshot: Snapshot, *, caller: Caller, order_id: str
) -> tuple[OrderView, mandates.References]:
    """Return an order that has ended, and what receipts of AP2 refer to.

    Raises:
        OrderNotFound: the caller takes part in none under this id.
        NotFound: it is not under an AP2 mandate.
        WrongState: it has not ended.
    """
    order = orders.order(snapshot, caller=caller, order_id=order_id)
    references = mandates.references_of(snapshot, order_id=order_id)
    if order.ended_at is None:
        raise orders.WrongState("Receipts are made when the order has ended.", state=order.state)
    return order, references


def _told(uow: UnitOfWork, mandate: MandateView) -> MandateView:
    """Tell a buyer of its mandate, unless it is one that was given before."""
    if mandate.created_at != rfc3339(uow.now):
        return mandate
    message = {
        "mandate_id": mandate.id,
        "principal_id": mandate.principal_id,
        "currency": mandate.currency,
        "expires_at": mandate.expires_at,
    }
    inbox.deliver(uow, agent_id=mandate.buyer_id, kind="mandate.given", body=message)
    return mandate


def fund(uow: UnitOfWork, *, caller: Caller, request: Fund, idempotency_key: str) -> WalletView:
    """Give a registered agent sandbox money.

    Raises:
        NotFound: nobody has this id.
    """
    caller.need("fund")
    identity.agent(uow, agent_id=request.agent_id)
    return ledger.fund(uow, caller=caller, request=request, idempotency_key=idempotency_key)


def agents_by_handle(snapshot: Snapshot, *, handle: str) -> Page[AgentView]:
    """Return the agent with this handle as a page, which is empty when there is none."""
    try:
        return Page(items=[identity.agent_by_handle(snapshot, handle=handle)], next=None)
    except NotFound:
        return Page(items=[], next=None)
