"""Runs: pieces of work inside a session that sub-agents report themselves, step by step.

A run belongs to the actor that started it: only the same key, in this life or a later one, writes
its steps and its end. A step has a stable name; the same step again is its next **attempt**,
which replaces the earlier one for whoever folds the log. A cancelled or paused run takes no steps:
that is the market's doing, whatever the worker does. All callers hold the session's log.
"""

from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import and_, bindparam, case, func, select, update

from market.base.caller import Caller
from market.base.sql import PerDialect, Sql, insert, upsert
from market.base.work import Snapshot, UnitOfWork
from market.protocol.events import Audience
from market.protocol.wire import EndRun, Request, StartRun, StepRun, WriteEvent
from market.sessions.errors import (
    BadEvent,
    NotDelegated,
    RunCancelled,
    RunEnded,
    RunNotFound,
    RunPaused,
    RunStarted,
    RunTaken,
    TooManyRuns,
)
from market.sessions.rights import Viewer
from market.sessions.tables import run_steps, runs
from market.sessions.views import is_at_work

MAX_RUNS: Final = 1_000
"""Runs of one session, with those that were cancelled before they began."""

MAX_RUNS_OF_ORDER: Final = 100
"""Runs of a seller's side for one order."""

MAX_RUNS_OF_SELLERS: Final = 500
"""Runs of all sellers' sides in one session, so that they cannot keep the buyer's out."""

Form = TypeVar("Form", bound=Request)

_IS_IT: Final = (runs.c.session_id == bindparam("in_session"), runs.c.run == bindparam("named"))
_FIND: Final = Sql(select(runs).where(*_IS_IT))
_ADD: Final = Sql(insert(runs))
_is_sellers = runs.c.audience == "order"
_COUNT: Final = Sql(
    select(
        func.count().label("total"),
        func.sum(case((_is_sellers, 1), else_=0)).label("of_sellers"),
        func.sum(
            case((and_(_is_sellers, runs.c.order_id == bindparam("for_order")), 1), else_=0)
        ).label("of_order"),
    ).where(runs.c.session_id == bindparam("in_session"))
)
_START: Final = Sql(
    update(runs)
    .where(*_IS_IT)
    .values(
        actor_id=bindparam("actor"),
        order_id=bindparam("order"),
        audience=bindparam("seen_by"),
        started_offset=bindparam("at"),
    )
)
_END: Final = Sql(update(runs).where(*_IS_IT).values(ended_offset=bindparam("at")))
_again = upsert(
    run_steps,
    keys=("session_id", "run", "step"),
    set_={"attempt": run_steps.c.attempt + 1},
)
_ATTEMPT: Final = Sql(
    PerDialect(
        _again.sqlite.returning(run_steps.c.attempt),  # type: ignore[attr-defined]
        _again.postgresql.returning(run_steps.c.attempt),  # type: ignore[attr-defined]
    )
)


def find_run(snapshot: Snapshot, session_id: str, run: str) -> Any:
    """Return the row of a run, or None: it neither began nor was it controlled."""
    return snapshot.one(_FIND, in_session=session_id, named=run)


def expect_run(
    uow: UnitOfWork, session_id: str, run: str, *, audience: Audience, **known: Any
) -> None:
    """Make the row of a run that begins, or of one that is controlled before it does.

    Raises:
        TooManyRuns: the session has as many as it may.
    """
    there = uow.one(_COUNT, in_session=session_id, for_order=known.get("order_id") or "")
    if there.total >= MAX_RUNS:
        raise TooManyRuns(f"A session has at most {MAX_RUNS} runs.", max_runs=MAX_RUNS)
    of_sellers, of_order = there.of_sellers or 0, there.of_order or 0
    is_full = of_sellers >= MAX_RUNS_OF_SELLERS or of_order >= MAX_RUNS_OF_ORDER
    if audience == "order" and is_full:
        raise TooManyRuns(
            "The sellers' side has as many runs as it may.",
            max_runs_of_order=MAX_RUNS_OF_ORDER,
            max_runs_of_sellers=MAX_RUNS_OF_SELLERS,
        )
    empty = dict.fromkeys(column.name for column in runs.columns)
    named = {"session_id": session_id, "run": run, "audience": audience}
    uow.run(_ADD, **{**empty, **known, **named})


def is_theirs(row: Any, viewer: Viewer) -> bool:
    """Whether a run is on the viewer's part of the session."""
    if viewer.is_owner:
        return True
    return row.order_id in viewer.order_ids and (viewer.is_buyers or row.audience == "order")


def check_grant(caller: Caller, run: str) -> None:
    """Let pass an agent, or a sub-agent whose delegation covers this run.

    Raises:
        NotDelegated: it is for another run alone.
    """
    grant = caller.delegation
    if grant is not None and grant.run not in (None, run):
        raise NotDelegated(f"The delegation is for the run '{grant.run}' alone.", run=grant.run)


def note_run(
    uow: UnitOfWork,
    *,
    caller: Caller,
    viewer: Viewer,
    session_id: str,
    event: WriteEvent,
    audience: Audience,
    offset: int,
) -> tuple[dict[str, Any], str | None]:
    """Take note of a ``run.*`` event that will stand at ``offset``; return its body and order.

    Raises:
        BadEvent: the body is not of its form, or names an order that the run is not for.
        RunTaken, RunStarted: a run of this name began before: another's, or the caller's.
        RunNotFound: no run of this name is the caller's.
        RunCancelled, RunPaused, RunEnded: it takes no such event any more, or for now.
        TooManyRuns: the session has as many as it may.
        NotDelegated: the caller may write in another run alone.
    """
    if event.kind == "run.started":
        start = _form(event, StartRun)
        check_grant(caller, start.run)
        _start(uow, caller, viewer, session_id, start, event.order_id, audience, offset)
        return {"run": start.run, "title": start.title, "parent": start.parent}, event.order_id
    if event.kind == "run.step":
        step = _form(event, StepRun)
        row = _own_run(uow, caller, session_id, step.run, event.order_id)
        _refuse_stopped(row)
        [again] = uow.all(_ATTEMPT, session_id=session_id, run=step.run, step=step.step, attempt=1)
        body: dict[str, Any] = msgspec.to_builtins(step)
        return {**body, "attempt": again.attempt}, row.order_id
    end = _form(event, EndRun)
    row = _own_run(uow, caller, session_id, end.run, event.order_id)
    uow.run(_END, in_session=session_id, named=end.run, at=offset)
    return msgspec.to_builtins(end), row.order_id


def _start(
    uow: UnitOfWork,
    caller: Caller,
    viewer: Viewer,
    session_id: str,
    start: StartRun,
    order_id: str | None,
    audience: Audience,
    offset: int,
) -> None:
    if order_id is not None and not is_at_work(uow, session_id=session_id, order_id=order_id):
        raise BadEvent("No such order is at work in this session.", field="order_id")
    if start.parent is not None:
        parent = find_run(uow, session_id, start.parent)
        if parent is None or parent.started_offset is None or not is_theirs(parent, viewer):
            raise RunNotFound("The parent is no run that has started here.", run=start.parent)
    row = find_run(uow, session_id, start.run)
    if row is None:
        known = {"actor_id": caller.agent_id, "order_id": order_id, "started_offset": offset}
        expect_run(uow, session_id, start.run, audience=audience, **known)
        return
    if row.actor_id == caller.agent_id:
        raise RunStarted("Go on with its steps.", run=start.run, offset=row.started_offset)
    if row.actor_id is not None:
        raise RunTaken("Another actor's run has this name; choose another.", run=start.run)
    if row.cancelled_offset is not None:
        raise RunCancelled(
            "The run was cancelled before it began.", run=start.run, offset=row.cancelled_offset
        )
    uow.run(
        _START,
        in_session=session_id,
        named=start.run,
        actor=caller.agent_id,
        order=order_id,
        seen_by=audience,
        at=offset,
    )


def _own_run(
    uow: UnitOfWork, caller: Caller, session_id: str, run: str, order_id: str | None
) -> Any:
    check_grant(caller, run)
    row = find_run(uow, session_id, run)
    if row is None or row.actor_id != caller.agent_id:
        raise RunNotFound("No run of this name is yours; begin with run.started.", run=run)
    if order_id is not None and order_id != row.order_id:
        raise BadEvent("The run began for another order (order_id).", field="order_id")
    if row.ended_offset is not None:
        raise RunEnded("Nothing follows in it.", run=run, offset=row.ended_offset)
    return row


def _refuse_stopped(row: Any) -> None:
    if row.cancelled_offset is not None:
        raise RunCancelled("End the run.", run=row.run, offset=row.cancelled_offset)
    if row.paused_offset is not None:
        raise RunPaused("Wait until it is resumed.", run=row.run, offset=row.paused_offset)


def _form(event: WriteEvent, form: type[Form]) -> Form:
    try:
        return msgspec.convert(event.body, form, strict=True)
    except msgspec.ValidationError as error:
        raise BadEvent(f"The body of {event.kind} is not of its form: {error}.") from error
