"""Control of a run: by the market where it can enforce it, else by the run's own actor.

Cancel, pause and resume take effect in the unit of work that records them: the next step is
refused, or taken again. A run that has not begun keeps them: its beginning is refused, or its
steps wait. A pause is lifted by one of the same rank or a higher one, as an order's. ``steer`` is
words for the actor: it answers by a deadline, or the market does then, or when the session closes.
Each control has exactly one answer.
"""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, func, select, update

from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.sql import Sql, insert
from market.base.streams import Stream
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.protocol.commitments import AgentKind
from market.protocol.events import MARKET, Action, Answer, Audience
from market.protocol.wire import AnswerControl, Control, ControlView
from market.sessions.errors import (
    BadControl,
    RunNotFound,
    SessionClosed,
    SteerNotFound,
)
from market.sessions.pausing import may_lift
from market.sessions.rights import need_to_control, need_to_write, rank_of
from market.sessions.runs import check_grant, expect_run, find_run, is_theirs
from market.sessions.tables import run_steers, runs
from market.sessions.views import viewer_of
from market.sessions.writing import NewEvent, append, claim, put_events

MARKET_AHEAD: Final = timedelta(seconds=2)
"""How long before ``answer_by`` the market answers for a silent worker: chores take turns, and the
answer is to be in the log by then. At most half of the time that the worker has."""

Ruling = tuple[Answer | None, str]

_THIS_RUN: Final = (
    runs.c.session_id == bindparam("in_session"),
    runs.c.run == bindparam("named"),
)
_CANCEL: Final = Sql(update(runs).where(*_THIS_RUN).values(cancelled_offset=bindparam("at")))
_PAUSE: Final = Sql(
    update(runs)
    .where(*_THIS_RUN)
    .values(
        paused_offset=func.coalesce(runs.c.paused_offset, bindparam("at", type_=BigInteger())),
        paused_by=bindparam("by"),
    )
)
_RESUME: Final = Sql(update(runs).where(*_THIS_RUN).values(paused_offset=None, paused_by=None))
_ADD_STEER: Final = Sql(insert(run_steers))
_waiting = (
    select(run_steers, runs.c.actor_id, runs.c.order_id, runs.c.audience)
    .join_from(
        run_steers,
        runs,
        (runs.c.session_id == run_steers.c.session_id) & (runs.c.run == run_steers.c.run),
    )
    .where(run_steers.c.answer.is_(None))
)
_WAITING: Final = Sql(
    _waiting.where(
        run_steers.c.session_id == bindparam("in_session"),
        run_steers.c.offset == bindparam("request_offset"),
    )
)
_WAITING_IN: Final = Sql(
    _waiting.where(run_steers.c.session_id == bindparam("in_session"))
    .order_by(run_steers.c.offset)
    .limit(100)
)
_OVERDUE: Final = Sql(
    _waiting.where(run_steers.c.answer_by <= bindparam("now", type_=UtcDateTime()))
    .order_by(run_steers.c.answer_by)
    .limit(100)
)
_ANSWER: Final = Sql(
    update(run_steers)
    .where(
        run_steers.c.session_id == bindparam("in_session"),
        run_steers.c.offset == bindparam("request_offset"),
        run_steers.c.answer.is_(None),
    )
    .values(answer=bindparam("said"), detail=bindparam("why"), answer_by=None)
)


class _Target(NamedTuple):
    """What both events of a control say of the run that it is for."""

    session_id: str
    run: str
    order_id: str | None
    audience: Audience
    offset: int
    action: Action


def control_run(
    uow: UnitOfWork, *, caller: Caller, session_id: str, request: Control
) -> ControlView:
    """Intervene in one run of a session, whether it has begun or not.

    Raises:
        SessionNotFound, SessionClosed: there is no such session for the caller, or it is complete.
        BadControl: no run is named, or the action is not for runs.
        RunNotFound: the run is not on the caller's part of the session.
        NotDelegated: the caller may intervene in another run alone.
        TooManyRuns: the run is not known, and the session has as many as it may.
    """
    need_to_control(caller)
    viewer = viewer_of(uow, caller=caller, session_id=session_id)
    run = _named(caller, request)
    offset = claim(uow, session_id).next_offset
    row = find_run(uow, session_id, run)
    if row is None and viewer.is_owner and request.action in ("cancel", "pause"):
        expect_run(uow, session_id, run, audience="owner")
        row = find_run(uow, session_id, run)
    if row is None or not is_theirs(row, viewer):
        raise RunNotFound("There is no run of this name that is yours to control.", run=run)
    said, why = _take_effect(uow, row, request.action, offset, rank_of(caller, viewer))
    target = _Target(session_id, run, row.order_id, row.audience, offset, request.action)
    answer_by = None
    if said is None:
        answer_by, market_answers_at = answer_times(uow)
        uow.run(
            _ADD_STEER,
            session_id=session_id,
            offset=offset,
            run=run,
            answer=None,
            detail="",
            answer_by=market_answers_at,
        )
    asked = {
        "action": request.action,
        "scope": "run",
        "run": run,
        "reason": request.reason,
        "text": request.text,
        "answer_by": answer_by,
    }
    new = [
        NewEvent("control.requested", caller.agent_id, asked, row.order_id, audience=row.audience)
    ]
    if said is not None:
        new.append(_answered(target, MARKET, said, why))
    append(uow, session_id=session_id, events=new)
    return _view(target, said, why)


def answer_times(uow: UnitOfWork) -> tuple[str, datetime]:
    """Return by when a steer is answered, as its event says it, and when the market does it."""
    given = timedelta(seconds=uow.settings.control_answer_seconds)
    return rfc3339(uow.now + given), uow.now + given - min(MARKET_AHEAD, given / 2)


def answer_run(
    uow: UnitOfWork, *, caller: Caller, session_id: str, offset: int, request: AnswerControl
) -> ControlView:
    """Answer a steer as the actor of the run that it was for.

    Raises:
        SteerNotFound: no steer waits at this offset for an answer of the caller's.
        NotDelegated: it is for a run that the caller's delegation does not cover.
    """
    need_to_write(caller)
    viewer_of(uow, caller=caller, session_id=session_id)
    waiting = uow.one(_WAITING, in_session=session_id, request_offset=offset)
    if waiting is None or waiting.actor_id != caller.agent_id:
        raise SteerNotFound("No steer at this offset waits for an answer of yours.")
    check_grant(caller, waiting.run)
    view = _answer(uow, waiting, caller.agent_id, request.answer, request.detail)
    if view is None:
        raise SteerNotFound("No steer at this offset waits for an answer of yours.")
    return view


def waits_for_run(uow: UnitOfWork, *, session_id: str, offset: int) -> bool:
    """Whether a steer of a run waits at this offset for its answer."""
    return uow.one(_WAITING, in_session=session_id, request_offset=offset) is not None


def answer_unheard(uow: UnitOfWork) -> int:
    """Answer ``too_late`` for runs that let a steer's deadline pass; return how many."""
    late = uow.all(_OVERDUE, now=uow.now)
    why = "The run's actor did not answer in time."
    # Logs are claimed in one order, so that two workers never wait for each other.
    late = sorted(late, key=lambda row: row.session_id)
    # One that was answered in this moment, by its actor or by another of ours, has its answer.
    return sum(_answer(uow, row, MARKET, "too_late", why) is not None for row in late)


def answer_rest(uow: UnitOfWork, *, session_id: str) -> None:
    """Answer every steer that still waits in a session which closes; its log must be held."""
    while waiting := uow.all(_WAITING_IN, in_session=session_id):
        for row in waiting:
            _answer(uow, row, MARKET, "too_late", "The session closes.")


def _named(caller: Caller, request: Control) -> str:
    if request.run is None:
        raise BadControl("Name the run that it is for (run).", field="run")
    if request.action in ("approve", "deny"):
        raise BadControl("Approvals are for orders, not for runs.", field="action")
    if request.order_id is not None:
        raise BadControl("A run has its own order: leave order_id out.", field="order_id")
    check_grant(caller, request.run)
    return request.run


def _take_effect(uow: UnitOfWork, row: Any, action: Action, offset: int, kind: AgentKind) -> Ruling:
    """Return the market's answer, once it is true; None where the run's actor has to answer."""
    has_begun, is_paused = row.started_offset is not None, row.paused_offset is not None
    is_over_it = not is_paused or may_lift(kind, row.paused_by)
    change: Sql | None = None
    ruling: Ruling
    if row.ended_offset is not None:
        ruling = "too_late", "The run has ended."
    elif row.cancelled_offset is not None and action == "cancel":
        ruling = "accepted", "It was cancelled before."
    elif row.cancelled_offset is not None:
        ruling = "too_late", "The run was cancelled."
    elif action == "steer":
        ruling = None, ""
        if not has_begun:
            ruling = "refused", "The run has not begun: nobody would read it."
    elif action == "cancel":
        change = _CANCEL
        ruling = "accepted", "It takes no more steps." if has_begun else "It will not begin."
    elif action == "pause":
        # What one of higher rank has paused stays theirs.
        change = _PAUSE if is_over_it else None
        ruling = "accepted", "It takes no steps until it is resumed."
    elif not is_over_it:
        ruling = "refused", f"The {row.paused_by} has paused the run, and may resume it."
    else:
        change = _RESUME if is_paused else None
        ruling = "accepted", "It takes steps again." if is_paused else "It was not paused."
    if change is not None:
        uow.run(change, in_session=row.session_id, named=row.run, at=offset, by=kind)
    return ruling


def _answer(
    uow: UnitOfWork, waiting: Any, actor_id: str, said: Answer, why: str
) -> ControlView | None:
    """Put the answer to a steer into the log, once; None if another was faster."""
    # The log first, as whoever asks or closes takes it: so no answer misses a session's end.
    claimed = _claim_open(uow, waiting.session_id)
    is_first = uow.run(
        _ANSWER,
        in_session=waiting.session_id,
        request_offset=waiting.offset,
        said=said,
        why=why,
    )
    if not is_first:
        return None
    target = _Target(
        waiting.session_id,
        waiting.run,
        waiting.order_id,
        waiting.audience,
        waiting.offset,
        "steer",
    )
    if claimed is not None:
        put_events(uow, target.session_id, claimed, [_answered(target, actor_id, said, why)])
    return _view(target, said, why)


def _claim_open(uow: UnitOfWork, session_id: str) -> Stream | None:
    """Hold a session's log; None where it is complete."""
    try:
        return claim(uow, session_id)
    except SessionClosed:
        return None


def _answered(target: _Target, actor_id: str, said: Answer, why: str) -> NewEvent:
    body = {
        "request_offset": target.offset,
        "action": target.action,
        "run": target.run,
        "answer": said,
        "detail": why,
    }
    return NewEvent("control.answered", actor_id, body, target.order_id, audience=target.audience)


def _view(target: _Target, said: Answer | None, why: str) -> ControlView:
    return ControlView(
        session_id=target.session_id,
        order_id=target.order_id,
        run=target.run,
        offset=target.offset,
        action=target.action,
        answer=said,
        detail=why,
    )
