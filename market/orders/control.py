"""Control: interventions in a live session, as events with answers in the same log.

Cancel, pause, resume, approve and deny take effect in the unit of work that records them, so the
market answers at once and a race has one winner, by offset. ``steer`` is for the worker: it
answers ``consumed`` or ``refused`` by a deadline, or the market answers ``too_late``.
"""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from market import sessions
from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.errors import Conflict
from market.base.sql import Sql, insert
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.orders.errors import (
    ControlNotFound,
    NotForThisCaller,
    OrderNeeded,
    OrderNotFound,
    WrongState,
)
from market.orders.placing import approve, deny
from market.orders.rows import is_in_session, locked, open_order_ids, order_ids
from market.orders.settlement import end
from market.orders.states import move
from market.orders.tables import controls, orders
from market.protocol.events import MARKET, Action, Answer, Audience
from market.protocol.money import pro_rata
from market.protocol.wire import AnswerControl, Control, ControlView, SessionView
from market.sessions import NewEvent, Viewer


class OrdersStillOpen(Conflict):
    code = "orders_still_open"
    title = "The session has orders that have not ended"


_ADD: Final = Sql(insert(controls))
_PENDING: Final = Sql(
    select(controls).where(
        controls.c.session_id == bindparam("session_id"),
        controls.c.offset == bindparam("request_offset"),
        controls.c.answer.is_(None),
    )
)
_ANSWER: Final = Sql(
    update(controls)
    .where(
        controls.c.session_id == bindparam("session_id"),
        controls.c.offset == bindparam("request_offset"),
        controls.c.answer.is_(None),
    )
    .values(answer=bindparam("said"), detail=bindparam("why"), answer_by=None)
)
_PAUSE: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(is_paused=1, paused_at=bindparam("now", type_=UtcDateTime()), due_at=None)
)
_PAUSE_OWN: Final = Sql(
    update(orders).where(orders.c.id == bindparam("order_id")).values(is_paused=1)
)
_RESUME: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(
        is_paused=0,
        paused_at=None,
        deliver_by=bindparam("until", type_=UtcDateTime()),
        due_at=bindparam("until", type_=UtcDateTime()),
    )
)


def control(
    uow: UnitOfWork, *, caller: Caller, session_id: str, request: Control
) -> list[ControlView]:
    """Intervene in one order of a session, or in all that are open; each is answered by itself.

    Raises:
        SessionNotFound: the caller takes no part in such a session.
        NotForThisCaller: it may not make this intervention.
        OrderNeeded: the session has several orders, and none was named.
    """
    viewer = sessions.viewer_of(uow, caller=caller, session_id=session_id)
    _allow(caller, viewer, request)
    targets = _targets(uow, viewer, session_id, request)
    return [
        _intervene(uow, caller, locked(uow, order_id=order_id), request) for order_id in targets
    ]


def answer_control(
    uow: UnitOfWork, *, caller: Caller, session_id: str, offset: int, request: AnswerControl
) -> ControlView:
    """Answer a steer as the worker it was meant for.

    Raises:
        ControlNotFound: no steer waits at this offset for an answer of the caller's.
    """
    sessions.need_to_act(caller)
    pending = uow.one(_PENDING, session_id=session_id, request_offset=offset)
    if pending is None or locked(uow, order_id=pending.order_id).seller_id != caller.agent_id:
        raise ControlNotFound("No steer at this offset waits for an answer of yours.")
    return answer(uow, pending, caller.agent_id, request.answer, request.detail)


def answer(uow: UnitOfWork, pending: Any, actor_id: str, said: Answer, why: str) -> ControlView:
    """Put the answer to a pending steer into the log, once.

    Raises:
        ControlNotFound: another answer was faster.
    """
    is_first = uow.run(
        _ANSWER, session_id=pending.session_id, request_offset=pending.offset, said=said, why=why
    )
    if not is_first:
        raise ControlNotFound("No steer at this offset waits for an answer of yours.")
    if sessions.is_open(uow, session_id=pending.session_id):
        _log_answer(uow, pending.session_id, pending, actor_id, said, why)
    return ControlView(
        session_id=pending.session_id,
        order_id=pending.order_id,
        offset=pending.offset,
        action=pending.action,
        answer=said,
        detail=why,
    )


def close_session(uow: UnitOfWork, *, caller: Caller, session_id: str, reason: str) -> SessionView:
    """Complete a session's log for good, once all its orders have ended. May be repeated.

    Raises:
        SessionNotFound: the caller owns no such session.
        OrdersStillOpen: accept or cancel them first.
    """
    sessions.need_to_act(caller)
    closed = sessions.close(uow, caller=caller, session_id=session_id, reason=reason)
    # Only now, with the log held: no other worker can place an order in it behind our back.
    still_open = open_order_ids(uow, session_id=session_id)
    if still_open:
        raise OrdersStillOpen("Accept or cancel its orders first.", order_ids=still_open)
    return closed


def _allow(caller: Caller, viewer: Viewer, request: Control) -> None:
    sessions.need_to_act(caller)
    if request.action in ("approve", "deny") and caller.kind not in ("principal", "overseer"):
        raise NotForThisCaller("Only the buyer's principal or an overseer approves or denies.")
    if request.action == "steer" and caller.kind == "seller":
        raise NotForThisCaller("A seller does not steer itself.")
    if not viewer.is_owner and request.scope != "order":
        raise NotForThisCaller("A seller intervenes in its own orders alone.")


def _targets(uow: UnitOfWork, viewer: Viewer, session_id: str, request: Control) -> list[str]:
    if request.scope == "all":
        return open_order_ids(uow, session_id=session_id)
    if request.order_id is None:
        owned = order_ids(uow, session_id=session_id) if viewer.is_owner else viewer.order_ids
        known = sorted(owned)
        if len(known) != 1:
            raise OrderNeeded(f"The session has {len(known)} orders: give order_id.", orders=known)
        return known
    is_theirs = viewer.is_owner or request.order_id in viewer.order_ids
    if not (is_theirs and is_in_session(uow, order_id=request.order_id, session_id=session_id)):
        raise OrderNotFound("There is no order under this id in this session.")
    return [request.order_id]


def _intervene(uow: UnitOfWork, caller: Caller, row: Any, request: Control) -> ControlView:
    waits = request.action == "steer" and row.state in ("placed", "started")
    answer_by = uow.now + timedelta(seconds=uow.settings.control_answer_seconds) if waits else None
    body = {
        "action": request.action,
        "scope": request.scope,
        "reason": request.reason,
        "text": request.text,
        "answer_by": rfc3339(answer_by) if answer_by else None,
    }
    audience = _audience(request.action)
    asked = NewEvent("control.requested", caller.agent_id, body, row.id, audience=audience)
    if not sessions.is_open(uow, session_id=row.session_id):
        raise WrongState("The session is closed: nothing runs in it any more.", state=row.state)
    offset = sessions.append(uow, session_id=row.session_id, events=[asked]).first_offset
    said: Answer | None = None
    why = ""
    if not waits:
        said, why = _take_effect(uow, caller, row, request)
    uow.run(
        _ADD,
        session_id=row.session_id,
        offset=offset,
        order_id=row.id,
        action=request.action,
        requested_by=caller.agent_id,
        answer=said,
        detail=why,
        answer_by=answer_by,
    )
    view = ControlView(
        session_id=row.session_id,
        order_id=row.id,
        offset=offset,
        action=request.action,
        answer=said,
        detail=why,
    )
    if said is not None:
        _log_answer(uow, row.session_id, view, MARKET, said, why)
    return view


def _take_effect(uow: UnitOfWork, caller: Caller, row: Any, request: Control) -> tuple[Answer, str]:
    try:
        return "accepted", _EFFECTS[request.action](uow, caller, row, request.reason)
    except WrongState as refusal:
        # The order went on, or ended, before this intervention: a fact for the log, not an error.
        return "too_late", refusal.detail


def _cancel(uow: UnitOfWork, caller: Caller, row: Any, reason: str) -> str:
    move(row.state, "cancel")
    # A seller that walks away is paid nothing; anyone else pays for what was delivered.
    captured = 0
    if caller.agent_id != row.seller_id:
        captured = pro_rata(row.amount_minor, part=row.units_delivered, whole=row.units)
    end(uow, row, ending="cancelled", captured_minor=captured, reason=reason or "cancelled")
    return f"{row.units_delivered} of {row.units} units were delivered and are paid."


def _pause(uow: UnitOfWork, caller: Caller, row: Any, reason: str) -> str:
    move(row.state, "pause")
    if caller.agent_id == row.seller_id:
        # Its deadline stands: it would be a way to deliver late and yet in time.
        uow.run(_PAUSE_OWN, order_id=row.id)
    elif row.paused_at is None:
        uow.run(_PAUSE, order_id=row.id, now=uow.now)
    return "Nothing is delivered until it is resumed."


def _resume(uow: UnitOfWork, caller: Caller, row: Any, reason: str) -> str:
    move(row.state, "resume")
    if not row.is_paused:
        return "It was not paused."
    until = row.deliver_by
    if row.paused_at is not None:
        if caller.agent_id == row.seller_id:
            raise NotForThisCaller("The buyer's side has paused the order; it resumes it.")
        # The seller's time stood still meanwhile.
        until += uow.now - row.paused_at
    uow.run(_RESUME, order_id=row.id, until=until)
    return f"Delivery goes on, until {rfc3339(until)}."


def _approve(uow: UnitOfWork, caller: Caller, row: Any, reason: str) -> str:
    approve(uow, row, actor_id=caller.agent_id, reason=reason)
    return "The order is placed."


def _deny(uow: UnitOfWork, caller: Caller, row: Any, reason: str) -> str:
    deny(uow, row, actor_id=caller.agent_id, reason=reason, kind="approval.denied")
    return "The order is cancelled; everything went back."


def _steer_too_late(uow: UnitOfWork, caller: Caller, row: Any, reason: str) -> str:
    raise WrongState(f"The order is {row.state}: no one works on it.", state=row.state)


def _log_answer(
    uow: UnitOfWork, session_id: str, asked: Any, actor_id: str, said: Answer, why: str
) -> None:
    body = {
        "request_offset": asked.offset,
        "action": asked.action,
        "answer": said,
        "detail": why,
    }
    audience = _audience(asked.action)
    event = NewEvent("control.answered", actor_id, body, asked.order_id, audience=audience)
    sessions.append(uow, session_id=session_id, events=[event])


def _audience(action: Action) -> Audience:
    """Return who sees an intervention: what is said about approval stays on the buyer's side."""
    return "owner" if action in ("approve", "deny") else "order"


_EFFECTS: Final = {
    "cancel": _cancel,
    "pause": _pause,
    "resume": _resume,
    "approve": _approve,
    "deny": _deny,
    "steer": _steer_too_late,
}
