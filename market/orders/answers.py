"""Answers to interventions: each gets exactly one, from the worker or else from the market."""

from contextlib import suppress
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from market import sessions
from market.base.sql import Sql
from market.base.work import UnitOfWork
from market.orders.errors import ControlNotFound
from market.orders.tables import controls
from market.protocol.events import MARKET, Action, Answer, Audience
from market.protocol.wire import ControlView
from market.sessions import NewEvent

_THIS_ONE: Final = (
    controls.c.session_id == bindparam("session_id"),
    controls.c.offset == bindparam("request_offset"),
    controls.c.answer.is_(None),
)
_PENDING: Final = Sql(select(controls).where(*_THIS_ONE))
_PENDING_OF_ORDER: Final = Sql(
    select(controls)
    .where(
        controls.c.session_id == bindparam("session_id"),
        controls.c.order_id == bindparam("order_id"),
        controls.c.answer.is_(None),
    )
    .order_by(controls.c.offset)
    .limit(1_000)
)
_ANSWER: Final = Sql(
    update(controls)
    .where(*_THIS_ONE)
    .values(answer=bindparam("said"), detail=bindparam("why"), answer_by=None)
)


def pending(uow: UnitOfWork, *, session_id: str, offset: int) -> Any:
    """Return the row of a steer that waits for its answer.

    Raises:
        ControlNotFound: none waits at this offset.
    """
    row = uow.one(_PENDING, session_id=session_id, request_offset=offset)
    if row is None:
        raise ControlNotFound("No steer at this offset waits for an answer of yours.")
    return row


def answer(uow: UnitOfWork, asked: Any, actor_id: str, said: Answer, why: str) -> ControlView:
    """Put the answer to a pending steer into the log, once.

    Raises:
        ControlNotFound: another answer was faster.
    """
    is_first = uow.run(
        _ANSWER, session_id=asked.session_id, request_offset=asked.offset, said=said, why=why
    )
    if not is_first:
        raise ControlNotFound("No steer at this offset waits for an answer of yours.")
    if sessions.is_open(uow, session_id=asked.session_id):
        log_answer(uow, asked, actor_id, said, why)
    return ControlView(
        session_id=asked.session_id,
        order_id=asked.order_id,
        run=None,
        offset=asked.offset,
        action=asked.action,
        answer=said,
        detail=why,
    )


def answer_rest(uow: UnitOfWork, *, session_id: str, order_id: str) -> None:
    """Answer every steer that still waits at an order which has just ended: nobody works on it."""
    while waiting := uow.all(_PENDING_OF_ORDER, session_id=session_id, order_id=order_id):
        for row in waiting:
            # One that another worker answers in this moment has its answer.
            with suppress(ControlNotFound):
                answer(uow, row, MARKET, "too_late", "The order has ended.")


def log_answer(uow: UnitOfWork, asked: Any, actor_id: str, said: Answer, why: str) -> None:
    """Write what became of the intervention ``asked`` (its row, or its view)."""
    body = {
        "request_offset": asked.offset,
        "action": asked.action,
        "answer": said,
        "detail": why,
    }
    audience = audience_of(asked.action, asked.order_id)
    event = NewEvent("control.answered", actor_id, body, asked.order_id, audience=audience)
    sessions.append(uow, session_id=asked.session_id, events=[event])


def audience_of(action: Action, order_id: str | None) -> Audience:
    """Return who sees an intervention: approvals, and whole sessions, are the buyer's side's."""
    return "owner" if order_id is None or action in ("approve", "deny") else "order"
