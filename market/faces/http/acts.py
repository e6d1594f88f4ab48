"""Acts that touch two rooms of one floor: verbs put together, each still one unit of work."""

from market import catalog, identity, inbox, ledger, orders, sessions
from market.base.caller import Caller, Signed
from market.base.errors import NotFound
from market.base.work import Snapshot, UnitOfWork
from market.protocol.commitments import RegistrationClaims
from market.protocol.wire import AgentView, DelegationView, Fund, Page, WalletView


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
    """Shut an agent out, hide what it offers, and pause what it has running."""
    agent = identity.suspend(uow, caller=caller, agent_id=agent_id, reason=reason)
    catalog.suspend_seller(uow, seller_id=agent_id)
    orders.pause_orders_of(uow, caller=caller, agent_id=agent_id, reason=reason)
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
