"""Acts that touch two rooms of one floor: verbs put together, each still one unit of work."""

from market import catalog, identity, inbox, ledger, orders
from market.base.caller import Caller, Signed
from market.base.errors import NotFound
from market.base.work import Snapshot, UnitOfWork
from market.protocol.commitments import RegistrationClaims
from market.protocol.wire import AgentView, Fund, Page, WalletView


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
