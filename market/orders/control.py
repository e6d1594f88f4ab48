"""Control: interventions in a live session, as events with answers in the same log.

Cancel, pause, resume, approve and deny take effect in the unit of work that records them, so the
market answers at once and a race has one winner, by offset. ``steer`` is for the worker: it
answers ``consumed`` or ``refused`` by a deadline, or the market answers ``too_late``. A cancel
needs no worker: one that comes later is refused, and told at which offset it was cancelled.
"""

from typing import Any, Final

from market import sessions
from market.base.caller import Caller
from market.base.errors import Conflict
from market.base.sql import Sql, insert
from market.base.work import UnitOfWork
from market.orders.answers import answer, audience_of, log_answer, pending
from market.orders.approvals import read_decision
from market.orders.effects import Actor, take_effect
from market.orders.errors import ControlNotFound, NotForThisCaller, OrderNotFound, WrongState
from market.orders.leases import renew
from market.orders.rows import (
    is_in_session,
    locked,
    open_order_ids,
    order_ids,
    own_order_ids,
    running_ids_of,
)
from market.orders.tables import controls
from market.protocol.events import MARKET, Answer
from market.protocol.wire import AnswerControl, Control, ControlView, SessionView
from market.sessions import NewEvent, Viewer


class OrdersStillOpen(Conflict):
    code = "orders_still_open"
    title = "The session has orders that have not ended"


_ADD: Final = Sql(insert(controls))


def control(
    uow: UnitOfWork, *, caller: Caller, session_id: str, request: Control
) -> list[ControlView]:
    """Intervene in orders of a session; each intervention is answered by itself.

    ``scope``: one order, all open ones of the caller's ``own`` (placed, or to be delivered, by
    it), ``all`` that are open, or one ``run``. To pause all pauses the session too: nothing more is
    spent in it until all is resumed. At most 1,000 orders at once; the same again is for the next.

    Raises:
        SessionNotFound, SessionClosed: there is no such session for the caller, or it is complete.
        NotForThisCaller: it may not make this intervention.
        OrderNeeded: the session has several orders and none was named, or it has none.
        BadControl: an order or a run was named that the scope does not ask for.
        SessionPaused: nothing is approved in it now.
        DecisionNeeded, DecisionMismatch, DecisionUsed: an approval is not signed as it must be.
    """
    if request.scope == "run":
        return [sessions.control_run(uow, caller=caller, session_id=session_id, request=request)]
    viewer = sessions.viewer_of(uow, caller=caller, session_id=session_id)
    _allow(caller, viewer, request)
    decision = read_decision(uow, caller, request)
    actor = Actor(caller.agent_id, sessions.rank_of(caller, viewer), decision)
    turns_session = request.scope == "all" and request.action in ("pause", "resume")
    if turns_session:
        _lock_session(uow, actor, session_id, request)
    # Orders before the log: so everybody takes these locks who needs both.
    targets = _targets(uow, caller, viewer, session_id, request)
    rows = [locked(uow, order_id=order_id) for order_id in targets]
    whole = [_turn_session(uow, actor, session_id, request)] if turns_session else []
    return whole + [_intervene(uow, actor, row, request) for row in rows]


def answer_control(
    uow: UnitOfWork, *, caller: Caller, session_id: str, offset: int, request: AnswerControl
) -> ControlView:
    """Answer a steer as the worker it was meant for, which is a sign of life too.

    Raises:
        ControlNotFound: no steer waits at this offset for an answer of the caller's.
    """
    is_delegate = caller.delegation is not None
    if is_delegate or sessions.waits_for_run(uow, session_id=session_id, offset=offset):
        return sessions.answer_run(
            uow, caller=caller, session_id=session_id, offset=offset, request=request
        )
    sessions.need_to_act(caller)
    asked = pending(uow, session_id=session_id, offset=offset)
    row = locked(uow, order_id=asked.order_id)
    if row.seller_id != caller.agent_id:
        raise ControlNotFound("No steer at this offset waits for an answer of yours.")
    renew(uow, row)
    return answer(uow, asked, caller.agent_id, request.answer, request.detail)


def cancel_paused(uow: UnitOfWork, row: Any) -> None:
    """Cancel, as the market, an order whose pause has reached its end; what was delivered is paid.

    The log says so: a cancel requested and answered by the market.
    """
    reason = f"paused for {uow.settings.pause_seconds} s, and nobody resumed it"
    request = Control(action="cancel", reason=reason)
    _intervene(uow, Actor(MARKET, "overseer"), row, request)


def pause_orders_of(
    uow: UnitOfWork, *, overseer_id: str, agent_id: str, reason: str, limit: int
) -> int:
    """Pause ``limit`` orders that an agent has running, as buyer or seller; return how many.

    Only an overseer lifts these pauses; without one they end as all do.
    """
    actor = Actor(overseer_id, "overseer")
    request = Control(action="pause", reason=reason)
    ids = running_ids_of(uow, agent_id=agent_id, limit=limit)
    rows = [locked(uow, order_id=order_id) for order_id in ids]
    for row in sorted(rows, key=lambda row: row.session_id):
        _intervene(uow, actor, row, request)
    return len(rows)


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
    sessions.need_to_control(caller)
    if caller.delegation is not None and caller.delegation.run is not None:
        raise NotForThisCaller("The sub-agent's delegation is for one run alone.")
    if request.action in ("approve", "deny") and caller.kind not in ("principal", "overseer"):
        raise NotForThisCaller("Only the buyer's principal or an overseer approves or denies.")
    if request.action == "steer" and not (viewer.is_owner or viewer.is_buyers):
        raise NotForThisCaller("A seller does not steer itself.")
    if not viewer.is_owner and request.scope not in ("order", "own"):
        raise NotForThisCaller("A seller intervenes in its own orders alone.")
    if request.scope != "order" and request.order_id is not None:
        raise sessions.BadControl("Only an intervention of the scope 'order' names one.")
    if request.run is not None:
        raise sessions.BadControl("Only an intervention of the scope 'run' names one.", field="run")


def _targets(
    uow: UnitOfWork, caller: Caller, viewer: Viewer, session_id: str, request: Control
) -> list[str]:
    if request.scope == "all":
        return open_order_ids(uow, session_id=session_id, action=request.action)
    if request.scope == "own":
        acts_for = caller.delegation.delegator_id if caller.delegation else caller.agent_id
        own = own_order_ids(uow, session_id=session_id, agent_id=acts_for, action=request.action)
        return own if viewer.is_owner else [each for each in own if each in viewer.order_ids]
    if request.order_id is None:
        owned = order_ids(uow, session_id=session_id) if viewer.is_owner else viewer.order_ids
        known = sorted(owned)
        if len(known) != 1:
            detail = (
                f"The session has {len(known)} orders: name one (order_id; --order on the command"
                " line)."
                if known
                else "No order is open in this session."
            )
            raise sessions.OrderNeeded(detail, orders=known)
        return known
    is_theirs = viewer.is_owner or request.order_id in viewer.order_ids
    if not (is_theirs and is_in_session(uow, order_id=request.order_id, session_id=session_id)):
        raise OrderNotFound("There is no order under this id in this session.")
    return [request.order_id]


def _lock_session(uow: UnitOfWork, actor: Actor, session_id: str, request: Control) -> None:
    """Let nobody spend meanwhile; refuse one who may not lift the pause that there is."""
    paused_by = sessions.lock_pause(uow, session_id=session_id)
    if request.action == "resume" and paused_by and not sessions.may_lift(actor.kind, paused_by):
        raise NotForThisCaller(f"The {paused_by} has paused the session, and may resume it.")


def _turn_session(uow: UnitOfWork, actor: Actor, session_id: str, request: Control) -> ControlView:
    """Pause or resume the session itself."""
    offset = _ask(uow, actor, session_id, None, request, None)
    if request.action == "pause":
        sessions.pause(uow, session_id=session_id, kind=actor.kind, offset=offset)
        detail = "Nothing is spent in the session until all is resumed."
    else:
        sessions.resume(uow, session_id=session_id)
        detail = "Orders may be placed in the session."
    view = _view(session_id, None, offset, request, "accepted", detail)
    log_answer(uow, view, MARKET, "accepted", detail)
    return view


def _intervene(uow: UnitOfWork, actor: Actor, row: Any, request: Control) -> ControlView:
    waits = request.action == "steer" and row.state in ("placed", "started")
    answer_by, market_answers_at = sessions.answer_times(uow) if waits else (None, None)
    offset = _ask(uow, actor, row.session_id, row.id, request, answer_by)
    said: Answer | None = None
    why = ""
    if not waits:
        said, why = _take_effect(uow, actor, row, request)
    uow.run(
        _ADD,
        session_id=row.session_id,
        offset=offset,
        order_id=row.id,
        action=request.action,
        requested_by=actor.agent_id,
        answer=said,
        detail=why,
        answer_by=market_answers_at,
    )
    view = _view(row.session_id, row.id, offset, request, said, why)
    if said is not None:
        log_answer(uow, view, MARKET, said, why)
    return view


def _ask(
    uow: UnitOfWork,
    actor: Actor,
    session_id: str,
    order_id: str | None,
    request: Control,
    answer_by: str | None,
) -> int:
    """Write that an intervention is asked for; return its offset."""
    body = {
        "action": request.action,
        "scope": request.scope,
        "reason": request.reason,
        "text": request.text,
        "answer_by": answer_by,
    }
    audience = audience_of(request.action, order_id)
    asked = NewEvent("control.requested", actor.agent_id, body, order_id, audience=audience)
    return sessions.append(uow, session_id=session_id, events=[asked]).first_offset


def _take_effect(uow: UnitOfWork, actor: Actor, row: Any, request: Control) -> tuple[Answer, str]:
    try:
        return "accepted", take_effect(uow, actor, row, request.action, request.reason)
    except WrongState as refusal:
        # The order went on, or ended, before this intervention: a fact for the log, not an error.
        return "too_late", refusal.detail
    except NotForThisCaller as refusal:
        if request.scope == "order":
            raise
        # One order that is not the caller's to resume does not stand in the way of the others.
        return "refused", refusal.detail


def _view(
    session_id: str,
    order_id: str | None,
    offset: int,
    request: Control,
    said: Answer | None,
    why: str,
) -> ControlView:
    return ControlView(
        session_id=session_id,
        order_id=order_id,
        run=None,
        offset=offset,
        action=request.action,
        answer=said,
        detail=why,
    )
