"""What an intervention does to an order, in the unit of work that records it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, update

from market import sessions
from market.base.clock import spoken
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.orders.approvals import Decision
from market.orders.capturing import earned
from market.orders.errors import NotForThisCaller, WrongState
from market.orders.leases import lease_until
from market.orders.placing import approve, deny
from market.orders.settlement import Ending, end
from market.orders.states import move
from market.orders.tables import orders
from market.protocol.commitments import AgentKind
from market.protocol.events import Action

_BY_ID = update(orders).where(orders.c.id == bindparam("order_id"))
_PAUSE: Final = Sql(
    _BY_ID.values(
        is_paused=1,
        paused_at=bindparam("now", type_=UtcDateTime()),
        paused_by=bindparam("by"),
        fails_at=None,
        due_at=bindparam("until", type_=UtcDateTime()),
    )
)
_PAUSE_OWN: Final = Sql(
    _BY_ID.values(is_paused=1, paused_by="seller", fails_at=None, due_at=orders.c.deliver_by)
)
_RAISE: Final = Sql(_BY_ID.values(paused_by=bindparam("by")))
_RESUME: Final = Sql(
    _BY_ID.values(
        is_paused=0,
        paused_at=None,
        paused_by=None,
        deliver_by=bindparam("until", type_=UtcDateTime()),
        lease_until=bindparam("lease", type_=UtcDateTime()),
        fails_at=None,
        due_at=bindparam("due", type_=UtcDateTime()),
    )
)


class Actor(NamedTuple):
    """Who intervenes, the kind of agent as which it does, by which it ranks, and what it signed."""

    agent_id: str
    kind: AgentKind
    decision: Decision | None = None


Effect = Callable[[UnitOfWork, Actor, Any, str], str]


def take_effect(uow: UnitOfWork, actor: Actor, row: Any, action: Action, reason: str) -> str:
    """Let an intervention take effect on a locked order; return what it did, in a sentence.

    Raises:
        WrongState: the order went on, or ended, before it.
        NotForThisCaller: one who ranks higher has paused the order.
        SessionPaused: an approval would spend in a session that is paused.
        DecisionNeeded, DecisionMismatch, DecisionUsed: nobody signed it, or not this.
    """
    return _EFFECTS[action](uow, actor, row, reason)


def _cancel(uow: UnitOfWork, actor: Actor, row: Any, reason: str) -> str:
    move(row.state, "cancel")
    # A seller that walks away is paid nothing; anyone else pays for what was delivered.
    captured = 0
    if actor.kind != "seller":
        captured = earned(row, delivered=row.units_delivered, is_accepted=False)
    # One that walks away from a redo which it owes has not delivered it.
    is_owed = actor.kind == "seller" and row.redo_of is not None
    ending: Ending = "failed" if is_owed else "cancelled"
    end(uow, row, ending=ending, captured_minor=captured, reason=reason or "cancelled")
    return f"{row.units_delivered} of {row.units} units were delivered and are paid."


def _pause(uow: UnitOfWork, actor: Actor, row: Any, reason: str) -> str:
    move(row.state, "pause")
    if actor.kind == "seller":
        if not row.is_paused:
            # Its deadline stands: it would be a way to deliver late and yet in time.
            uow.run(_PAUSE_OWN, order_id=row.id)
        return "Nothing is delivered until it is resumed."
    if row.paused_at is None:
        until = uow.now + timedelta(seconds=uow.settings.pause_seconds)
        uow.run(_PAUSE, order_id=row.id, now=uow.now, by=actor.kind, until=until)
        return f"Nothing is delivered until it is resumed; at {spoken(until)} it is cancelled."
    if not sessions.may_lift(row.paused_by, actor.kind):
        uow.run(_RAISE, order_id=row.id, by=actor.kind)
    return f"Nothing is delivered until it is resumed; at {spoken(row.due_at)} it is cancelled."


def _resume(uow: UnitOfWork, actor: Actor, row: Any, reason: str) -> str:
    move(row.state, "resume")
    if not row.is_paused:
        return "It was not paused."
    if not sessions.may_lift(actor.kind, row.paused_by):
        raise NotForThisCaller(f"The {row.paused_by} has paused the order, and may resume it.")
    until = row.deliver_by
    if row.paused_at is not None:
        # The seller's time stood still meanwhile; a clock that was set back takes none away.
        until += max(uow.now - row.paused_at, timedelta(0))
    lease = lease_until(uow) if row.state == "started" else None
    uow.run(_RESUME, order_id=row.id, until=until, lease=lease, due=min(until, lease or until))
    return f"Delivery goes on, until {spoken(until)}."


def _approve(uow: UnitOfWork, actor: Actor, row: Any, reason: str) -> str:
    sessions.check_running(uow, session_id=row.session_id)
    approve(uow, row, actor_id=actor.agent_id, reason=reason, decision=actor.decision)
    return "The order is placed."


def _deny(uow: UnitOfWork, actor: Actor, row: Any, reason: str) -> str:
    deny(
        uow,
        row,
        actor_id=actor.agent_id,
        reason=reason,
        kind="approval.denied",
        decision=actor.decision,
    )
    return "The order is cancelled; everything went back."


def _steer(uow: UnitOfWork, actor: Actor, row: Any, reason: str) -> str:
    raise WrongState(f"The order is {row.state}: no one works on it.", state=row.state)


_EFFECTS: Final[dict[Action, Effect]] = {
    "cancel": _cancel,
    "pause": _pause,
    "resume": _resume,
    "approve": _approve,
    "deny": _deny,
    "steer": _steer,
}
