"""Runs: whose they are, attempts of steps, and controls that the market enforces."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import sessions
from market.base.caller import Caller, Delegation
from market.base.clock import ManualClock, rfc3339
from market.base.errors import InsufficientScope
from market.base.store import Store
from market.base.streams import Producer
from market.protocol.wire import (
    AnswerControl,
    Appended,
    Control,
    ControlView,
    OpenSession,
    SessionView,
    WriteEvent,
    WriteEvents,
)
from market.sessions import runs as room
from tests.factories import race
from tests.integration.test_sessions import BUYER, OVERSEER, SELLER, STRANGER, caller, read_all

ORDER = "ord_01h455vb4pex5vsknk084sn02q"
RIVALS = "ord_01h455vb4pex5vsknk084sn02r"
SCOPES = frozenset({"session.read", "session.write", "session.control"})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
async def session(store: Store) -> SessionView:
    """A session of the buyer's in which the seller has one order, and a rival another."""
    opened = await store.write(
        sessions.open_session,
        buyer_id="buyer",
        principal_id="principal",
        request=OpenSession(need="key sentences"),
    )
    for agent_id, order_id in (("seller", ORDER), ("rival", RIVALS)):
        await store.write(sessions.join, session_id=opened.id, agent_id=agent_id, order_id=order_id)
    return opened


def sub_agent(name: str, session: SessionView, delegator: str = "buyer", **limits: Any) -> Caller:
    """A sub-agent as the door lets it in."""
    known = {"order_id": None, "run": None} | limits
    scopes = known.pop("scopes", SCOPES)
    grant = Delegation("a-nonce-of-its-own", delegator, session.id, **known)
    return Caller(name, name, "delegate", None, scopes, {}, "http://market.test", grant)


async def write(
    store: Store,
    actor: Caller,
    session: SessionView,
    *bodies: tuple[str, dict[str, Any]],
    order_id: str | None = None,
    producer: Producer | None = None,
) -> Appended:
    events = [WriteEvent(kind=kind, body=body, order_id=order_id) for kind, body in bodies]
    return await store.write(
        sessions.write,
        caller=actor,
        session_id=session.id,
        events=WriteEvents(events=events),
        producer=producer,
    )


def start(run: str = "search", **members: Any) -> tuple[str, dict[str, Any]]:
    return "run.started", {"run": run, "title": f"the {run}", **members}


def step(run: str = "search", step: str = "page-1", **members: Any) -> tuple[str, dict[str, Any]]:
    return "run.step", {"run": run, "step": step, **members}


def end(run: str = "search", outcome: str = "done") -> tuple[str, dict[str, Any]]:
    return "run.ended", {"run": run, "outcome": outcome}


async def control(
    store: Store, actor: Caller, session: SessionView, action: Any, run: str | None = "search"
) -> ControlView:
    return await store.write(
        sessions.control_run,
        caller=actor,
        session_id=session.id,
        request=Control(action=action, scope="run", run=run, text="the second catalog first"),
    )


async def kinds(store: Store, reader: Caller, session: SessionView) -> list[str]:
    events = await read_all(store, reader, session.id)
    return [event.get("kind", "withheld") for event in events][1:]


async def test_two_sub_agents_report_their_own_runs_in_one_log(store: Store, session: SessionView):
    first, second = sub_agent("first", session), sub_agent("second", session)

    await write(store, first, session, start("left"))
    await write(store, second, session, start("right", parent="left"))
    await write(store, first, session, step("left", detail="half", output={"rows": 3}))
    await write(store, second, session, step("right"), end("right"))

    events = (await read_all(store, BUYER, session.id))[1:]
    assert [(event["actor_id"], event["kind"]) for event in events] == [
        ("first", "run.started"),
        ("second", "run.started"),
        ("first", "run.step"),
        ("second", "run.step"),
        ("second", "run.ended"),
    ]
    assert events[1]["body"] == {"run": "right", "title": "the right", "parent": "left"}
    assert events[2]["body"] == {
        "run": "left", "step": "page-1", "attempt": 1, "detail": "half", "output": {"rows": 3},
    }  # fmt: skip
    assert events[4]["body"] == {"run": "right", "outcome": "done", "detail": ""}
    assert {event["audience"] for event in events} == {"owner"}


async def test_a_step_that_is_done_again_is_the_next_attempt(store: Store, session: SessionView):
    actor = sub_agent("first", session)
    await write(store, actor, session, start(), step(detail="cut off"))

    await write(store, actor, session, step(detail="whole"), step(step="page-2"))

    bodies = [event["body"] for event in (await read_all(store, BUYER, session.id))[2:]]
    assert [(body["step"], body["attempt"]) for body in bodies] == [
        ("page-1", 1), ("page-1", 2), ("page-2", 1),
    ]  # fmt: skip


async def test_a_producers_repeat_is_no_new_attempt(store: Store, session: SessionView):
    actor = sub_agent("first", session)
    await write(store, actor, session, start(), producer=Producer("p", 0, 0))
    for _ in range(2):
        await write(store, actor, session, step(), producer=Producer("p", 0, 1))

    await write(store, actor, session, step(), producer=Producer("p", 0, 2))

    attempts = [event["body"].get("attempt") for event in await read_all(store, BUYER, session.id)]
    assert attempts == [None, None, 1, 2]


async def test_a_run_is_its_actors_in_every_life_and_nobody_elses(
    store: Store, session: SessionView
):
    actor = sub_agent("first", session)
    await write(store, actor, session, start(), step())

    for other in (sub_agent("second", session), BUYER, OVERSEER):
        with pytest.raises(sessions.RunNotFound):
            await write(store, other, session, step())
        with pytest.raises(sessions.RunNotFound):
            await write(store, other, session, end())
        with pytest.raises(sessions.RunTaken):
            await write(store, other, session, start())
    later = actor._replace(delegation=actor.delegation._replace(jti="another-of-that-key"))
    with pytest.raises(sessions.RunStarted) as known:
        await write(store, later, session, start())
    await write(store, later, session, step(), end())

    assert known.value.facts == {"run": "search", "offset": 1}


async def test_nothing_follows_the_end_of_a_run(store: Store, session: SessionView):
    await write(store, BUYER, session, start(), end(outcome="failed"))

    for late in (step(), end()):
        with pytest.raises(sessions.RunEnded) as refusal:
            await write(store, BUYER, session, late)
        assert refusal.value.facts == {"run": "search", "offset": 2}
    with pytest.raises(sessions.RunStarted):
        await write(store, BUYER, session, start())


async def test_a_batch_with_one_refused_event_leaves_no_trace(store: Store, session: SessionView):
    with pytest.raises(sessions.RunNotFound):
        await write(store, BUYER, session, start(), step(), step("another"))

    assert await kinds(store, BUYER, session) == []
    await write(store, BUYER, session, start(), step())
    assert (await read_all(store, BUYER, session.id))[-1]["body"]["attempt"] == 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("run.started", {"run": "search"}),
        ("run.started", {"run": "../etc", "title": "x"}),
        ("run.started", {"run": "x" * 65, "title": "x"}),
        ("run.started", {"run": "search", "title": "x", "actor_id": "buyer"}),
        ("run.step", {"run": "known", "step": "a b"}),
        ("run.step", {"run": "known", "step": "a", "attempt": 7}),
        ("run.step", {"run": "known", "step": "a", "output": "text"}),
        ("run.step", {"run": "known", "step": "a", "output": {"x": "y" * 65_536}}),
        ("run.step", {"run": "known", "step": "a", "output": {"x": 2**60}}),
        ("run.ended", {"run": "known", "outcome": "perhaps"}),
    ],
)
async def test_a_body_of_another_form_is_refused(
    store: Store, session: SessionView, kind: str, body: dict[str, Any]
):
    await write(store, BUYER, session, start("known"))

    with pytest.raises(sessions.BadEvent):
        await write(store, BUYER, session, (kind, body))


async def test_a_part_of_a_run_that_is_not_there_does_not_begin(store: Store, session: SessionView):
    await control(store, BUYER, session, "cancel", "cancelled")

    for parent in ("nowhere", "cancelled"):
        with pytest.raises(sessions.RunNotFound):
            await write(store, BUYER, session, start(parent=parent))


async def test_a_session_has_a_thousand_runs_and_no_more(
    store: Store, session: SessionView, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "MAX_RUNS", 2)
    await write(store, BUYER, session, start("one"))
    await control(store, BUYER, session, "cancel", "two")

    with pytest.raises(sessions.TooManyRuns):
        await write(store, BUYER, session, start("three"))
    with pytest.raises(sessions.TooManyRuns):
        await control(store, BUYER, session, "pause", "three")
    assert sessions.MAX_RUNS == 1_000


async def test_a_sellers_runs_are_for_its_order_and_seen_with_it(
    store: Store, session: SessionView
):
    with pytest.raises(sessions.KindReserved):
        await write(store, SELLER, session, start("sellers"))
    worker = sub_agent("worker", session, "seller", order_id=ORDER)
    with pytest.raises(sessions.NotDelegated):
        await write(store, worker, session, start("sellers"), order_id=RIVALS)
    await write(store, worker, session, start("sellers"), step("sellers"), order_id=ORDER)
    await write(store, BUYER, session, start("buyers"), order_id=ORDER)

    rival = caller("rival", "seller")
    shown = ["run.started", "run.step"]
    assert await kinds(store, SELLER, session) == [*shown, "withheld"]
    assert await kinds(store, rival, session) == ["withheld"] * 3
    assert await kinds(store, BUYER, session) == [*shown, "run.started"]
    with pytest.raises(sessions.BadEvent):
        await write(store, BUYER, session, step("buyers"), order_id=RIVALS)


async def test_a_run_is_for_an_order_of_its_session_or_for_none(store: Store, session: SessionView):
    unknown = "ord_01h455vb4pex5vsknk084sn02z"

    with pytest.raises(sessions.BadEvent):
        await write(store, BUYER, session, start(), order_id=unknown)

    assert await kinds(store, BUYER, session) == []


async def test_a_sub_agent_for_one_order_sees_what_an_owner_sees_of_it(
    store: Store, session: SessionView
):
    await write(store, BUYER, session, ("note.written", {"text": "of all"}))
    of_order = ("note.written", {"text": "of the order"})
    await write(store, BUYER, session, of_order, order_id=ORDER)
    worker = sub_agent("worker", session, order_id=ORDER)
    await write(store, worker, session, start("mine"), order_id=ORDER)

    assert await kinds(store, worker, session) == ["withheld", "note.written", "run.started"]
    assert await kinds(store, SELLER, session) == ["withheld"] * 3
    with pytest.raises(sessions.NotDelegated):
        await write(store, worker, session, of_order)


@pytest.mark.parametrize(
    "event",
    [
        ("decision.made", {"stage": "finding", "outcome": "advance"}),
        ("evaluating.tried", {"service_id": "svc", "result": {}}),
        ("order.settled", {}),
    ],
)
async def test_a_sub_agent_decides_nothing(
    store: Store, session: SessionView, event: tuple[str, dict[str, Any]]
):
    with pytest.raises(sessions.KindReserved):
        await write(store, sub_agent("first", session), session, event)


async def test_a_sub_agent_for_one_run_writes_and_controls_nothing_else(
    store: Store, session: SessionView
):
    actor = sub_agent("first", session, run="search")
    await write(store, actor, session, start(), step(), end())

    for event in (start("other"), ("note.written", {"text": "hello"})):
        with pytest.raises(sessions.NotDelegated):
            await write(store, actor, session, event)
    with pytest.raises(sessions.NotDelegated):
        await control(store, actor, session, "cancel", "other")


async def test_a_sub_agent_does_what_its_scopes_say(store: Store, session: SessionView):
    reader = sub_agent("reader", session, scopes=frozenset({"session.read"}))

    assert await kinds(store, reader, session) == []
    with pytest.raises(InsufficientScope):
        await write(store, reader, session, start())
    with pytest.raises(InsufficientScope):
        await control(store, reader, session, "cancel")


async def test_another_session_is_not_there_for_a_sub_agent(store: Store, session: SessionView):
    opened = await store.write(
        sessions.open_session, buyer_id="buyer", principal_id=None, request=OpenSession(need="more")
    )

    with pytest.raises(sessions.SessionNotFound):
        await read_all(store, sub_agent("first", session), opened.id)
    with pytest.raises(sessions.SessionNotFound):
        await write(store, sub_agent("first", session), opened, start())


async def test_a_cancelled_run_takes_no_step_but_its_end(store: Store, session: SessionView):
    actor = sub_agent("first", session)
    await write(store, actor, session, start(), step())

    answered = await control(store, OVERSEER, session, "cancel")
    with pytest.raises(sessions.RunCancelled) as refusal:
        await write(store, actor, session, step())
    await write(store, actor, session, end(outcome="cancelled"))

    assert (answered.answer, answered.run, answered.order_id) == ("accepted", "search", None)
    assert refusal.value.facts == {"run": "search", "offset": answered.offset}
    events = (await read_all(store, BUYER, session.id))[3:]
    assert [event["kind"] for event in events] == [
        "control.requested", "control.answered", "run.ended",
    ]  # fmt: skip
    assert events[0]["body"] == {
        "action": "cancel", "scope": "run", "run": "search", "reason": "",
        "text": "the second catalog first", "answer_by": None,
    }  # fmt: skip
    assert events[1]["body"]["request_offset"] == events[0]["offset"]
    assert (events[1]["actor_id"], events[1]["body"]["run"]) == ("market", "search")


async def test_a_paused_run_waits_until_it_is_resumed(store: Store, session: SessionView):
    await write(store, BUYER, session, start())

    paused = await control(store, BUYER, session, "pause")
    with pytest.raises(sessions.RunPaused) as refusal:
        await write(store, BUYER, session, step())
    await control(store, BUYER, session, "resume")
    await write(store, BUYER, session, step())

    assert refusal.value.facts["offset"] == paused.offset


async def test_a_paused_run_may_end(store: Store, session: SessionView):
    await write(store, BUYER, session, start())
    await control(store, BUYER, session, "pause")

    await write(store, BUYER, session, end(outcome="failed"))

    assert (await kinds(store, BUYER, session))[-1] == "run.ended"


async def test_a_cancel_is_kept_for_a_run_that_comes_later(store: Store, session: SessionView):
    kept = await control(store, BUYER, session, "cancel", "later")

    with pytest.raises(sessions.RunCancelled) as refusal:
        await write(store, sub_agent("first", session), session, start("later"))

    assert (kept.answer, refusal.value.facts["offset"]) == ("accepted", kept.offset)


async def test_a_pause_is_kept_for_a_run_that_comes_later(store: Store, session: SessionView):
    await control(store, BUYER, session, "pause", "later")
    actor = sub_agent("first", session)

    await write(store, actor, session, start("later"))
    with pytest.raises(sessions.RunPaused):
        await write(store, actor, session, step("later"))
    await control(store, BUYER, session, "resume", "later")

    await write(store, actor, session, step("later"))


@pytest.mark.parametrize(
    ("before", "action", "answer"),
    [
        ([], "steer", "refused"),
        ([], "cancel", "accepted"),
        ([], "resume", "accepted"),
        (["pause"], "pause", "accepted"),
        (["cancel"], "cancel", "accepted"),
        (["cancel"], "pause", "too_late"),
        (["cancel"], "resume", "too_late"),
        (["cancel"], "steer", "too_late"),
    ],
)
async def test_each_control_of_a_run_has_exactly_one_answer(
    store: Store, session: SessionView, before: list[str], action: str, answer: str
):
    if before or action == "resume":
        await write(store, BUYER, session, start())
    else:
        await control(store, BUYER, session, "pause")
    for earlier in before:
        await control(store, BUYER, session, earlier)

    answered = await control(store, BUYER, session, action)

    events = await read_all(store, BUYER, session.id)
    asked = [event["offset"] for event in events if event["kind"] == "control.requested"]
    answers = [
        event["body"]["request_offset"] for event in events if event["kind"] == "control.answered"
    ]
    assert answered.answer == answer
    assert asked == answers


async def test_an_ended_run_is_not_controlled(store: Store, session: SessionView):
    await write(store, BUYER, session, start(), end())

    actions = ("cancel", "pause", "resume", "steer")
    answers = [(await control(store, BUYER, session, action)).answer for action in actions]

    assert answers == ["too_late"] * 4


async def test_a_steer_waits_for_the_runs_actor(store: Store, session: SessionView):
    actor = sub_agent("first", session)
    await write(store, actor, session, start())
    asked = await control(store, OVERSEER, session, "steer")

    with pytest.raises(sessions.SteerNotFound):
        await answer(store, BUYER, session, asked.offset)
    answered = await answer(store, actor, session, asked.offset)

    assert (asked.answer, answered.answer, answered.run) == (None, "consumed", "search")
    last = (await read_all(store, BUYER, session.id))[-1]
    assert (last["actor_id"], last["body"]["detail"]) == ("first", "will do")
    with pytest.raises(sessions.SteerNotFound):
        await answer(store, actor, session, asked.offset)


async def test_the_market_answers_a_steer_that_nobody_heard(
    store: Store, clock: ManualClock, session: SessionView
):
    await write(store, BUYER, session, start())
    asked = await control(store, OVERSEER, session, "steer")
    assert await store.write(sessions.answer_unheard) == 0

    deadline = timedelta(seconds=store.settings.control_answer_seconds)
    due = (await read_all(store, BUYER, session.id))[-1]["body"]["answer_by"]
    clock.advance(deadline)
    answered = [await store.write(sessions.answer_unheard) for _ in range(2)]

    assert due <= rfc3339(store.clock.now())
    assert answered == [1, 0]
    last = (await read_all(store, BUYER, session.id))[-1]
    assert (last["actor_id"], last["body"]["answer"]) == ("market", "too_late")
    with pytest.raises(sessions.SteerNotFound):
        await answer(store, BUYER, session, asked.offset)


async def test_of_racing_answers_one_is_written(store: Store, session: SessionView):
    await write(store, BUYER, session, start())
    asked = await control(store, OVERSEER, session, "steer")

    refusals = await race(
        4, lambda: answer(store, BUYER, session, asked.offset), collect=sessions.SteerNotFound
    )

    assert len(refusals) == 3
    assert (await kinds(store, BUYER, session)).count("control.answered") == 1


async def test_of_a_racing_step_and_cancel_the_log_knows_the_winner(
    store: Store, session: SessionView
):
    await write(store, BUYER, session, start())

    results = await asyncio.gather(
        *(write(store, BUYER, session, step()) for _ in range(3)),
        control(store, OVERSEER, session, "cancel"),
        *(write(store, BUYER, session, step()) for _ in range(3)),
        return_exceptions=True,
    )

    log = await kinds(store, BUYER, session)
    assert "run.step" not in log[log.index("control.requested") :]
    refused = [result for result in results if isinstance(result, sessions.RunCancelled)]
    assert log.count("run.step") + len(refused) == 6


async def test_only_those_who_see_a_run_control_it(store: Store, session: SessionView):
    worker = sub_agent("worker", session, "seller", order_id=ORDER)
    await write(store, worker, session, start("sellers"), order_id=ORDER)
    await write(store, BUYER, session, start("buyers"), order_id=ORDER)
    rival = caller("rival", "seller")

    for actor, run in ((rival, "sellers"), (SELLER, "buyers"), (SELLER, "nowhere")):
        with pytest.raises(sessions.RunNotFound):
            await control(store, actor, session, "cancel", run)
    with pytest.raises(sessions.SessionNotFound):
        await control(store, STRANGER, session, "cancel", "sellers")
    assert (await control(store, SELLER, session, "pause", "sellers")).answer == "accepted"
    assert (await control(store, BUYER, session, "cancel", "sellers")).answer == "accepted"

    shown = [event.get("kind") for event in await read_all(store, SELLER, session.id)]
    assert shown.count("control.answered") == 2


@pytest.mark.parametrize(("action", "run"), [("cancel", None), ("approve", "search")])
async def test_a_control_that_no_run_can_follow_is_refused(
    store: Store, session: SessionView, action: str, run: str | None
):
    with pytest.raises(sessions.BadControl):
        await control(store, BUYER, session, action, run)


async def test_a_closed_session_has_no_run_to_control(store: Store, session: SessionView):
    await write(store, BUYER, session, start())
    asked = await control(store, OVERSEER, session, "steer")
    await store.write(sessions.close, caller=BUYER, session_id=session.id, reason="done")

    with pytest.raises(sessions.SessionClosed):
        await control(store, BUYER, session, "cancel")
    with pytest.raises(sessions.SteerNotFound):
        await answer(store, BUYER, session, asked.offset)

    assert (await kinds(store, BUYER, session))[-1] == "session.closed"


async def answer(store: Store, actor: Caller, session: SessionView, offset: int) -> ControlView:
    return await store.write(
        sessions.answer_run,
        caller=actor,
        session_id=session.id,
        offset=offset,
        request=AnswerControl(answer="consumed", detail="will do"),
    )


async def test_who_works_on_a_run_does_not_lift_the_pause_of_one_above(
    store: Store, session: SessionView
):
    worker = sub_agent("worker", session, "seller", order_id=ORDER)
    await write(store, worker, session, start(), order_id=ORDER)
    await control(store, SELLER, session, "pause")
    await control(store, BUYER, session, "pause")

    answers = [
        (await control(store, actor, session, "resume")).answer for actor in (SELLER, worker)
    ]

    assert answers == ["refused", "refused"]
    with pytest.raises(sessions.RunPaused):
        await write(store, worker, session, step(), order_id=ORDER)
    await control(store, OVERSEER, session, "pause")
    assert (await control(store, BUYER, session, "resume")).answer == "refused"
    assert (await control(store, OVERSEER, session, "resume")).answer == "accepted"
    await write(store, worker, session, step(), order_id=ORDER)


async def test_a_steer_that_waits_has_its_answer_before_the_session_closes(
    store: Store, session: SessionView
):
    actor = sub_agent("first", session)
    await write(store, actor, session, start())
    steer = await control(store, BUYER, session, "steer")

    await store.write(sessions.close, caller=BUYER, session_id=session.id, reason="done")

    *_, said, closed = await read_all(store, BUYER, session.id)
    assert (said["kind"], closed["kind"]) == ("control.answered", "session.closed")
    assert (said["body"]["request_offset"], said["body"]["answer"]) == (steer.offset, "too_late")
    with pytest.raises(sessions.SteerNotFound):
        await answer(store, actor, session, steer.offset)


async def test_a_steer_racing_the_close_of_its_session_is_answered_or_refused(
    store: Store, session: SessionView
):
    actor = sub_agent("first", session)
    await write(store, actor, session, start())
    waiting = await control(store, BUYER, session, "steer")

    await asyncio.gather(
        control(store, BUYER, session, "steer"),
        answer(store, actor, session, waiting.offset),
        store.write(sessions.close, caller=BUYER, session_id=session.id, reason="done"),
        store.write(sessions.answer_unheard),
        return_exceptions=True,
    )

    log = await read_all(store, BUYER, session.id)
    asked = [event["offset"] for event in log if event["kind"] == "control.requested"]
    said = [e["body"]["request_offset"] for e in log if e["kind"] == "control.answered"]
    assert sorted(said) == asked
    assert [event["kind"] for event in log].index("session.closed") == len(log) - 1


async def test_producers_of_two_participants_that_have_one_name_are_two(
    store: Store, session: SessionView
):
    note = ("note.written", {"text": "mine"})
    await write(store, SELLER, session, note, order_id=ORDER, producer=Producer("p", 9, 0))

    mine = await write(store, BUYER, session, note, producer=Producer("p", 0, 0))
    again = await write(store, BUYER, session, note, producer=Producer("p", 0, 0))

    assert (mine.repeated, again.repeated) == (False, True)
    assert await kinds(store, BUYER, session) == ["note.written", "note.written"]


async def test_sellers_runs_are_bounded_and_keep_no_buyers_out(
    store: Store, session: SessionView, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "MAX_RUNS_OF_ORDER", 2)
    monkeypatch.setattr(room, "MAX_RUNS_OF_SELLERS", 3)
    worker = sub_agent("worker", session, "seller", order_id=ORDER)
    rival = sub_agent("rivals", session, "rival", order_id=RIVALS)
    for run in ("one", "two"):
        await write(store, worker, session, start(run), order_id=ORDER)
    with pytest.raises(sessions.TooManyRuns):
        await write(store, worker, session, start("three"), order_id=ORDER)

    await write(store, rival, session, start("three"), order_id=RIVALS)
    with pytest.raises(sessions.TooManyRuns):
        await write(store, rival, session, start("four"), order_id=RIVALS)
    for run in ("five", "six", "seven"):
        await write(store, BUYER, session, start(run), order_id=ORDER)


async def test_a_control_of_a_run_names_no_order(store: Store, session: SessionView):
    with pytest.raises(sessions.BadControl):
        await store.write(
            sessions.control_run,
            caller=BUYER,
            session_id=session.id,
            request=Control(action="cancel", scope="run", run="search", order_id=ORDER),
        )


async def test_a_steer_is_answered_by_a_delegation_that_covers_its_run(
    store: Store, session: SessionView
):
    await write(store, sub_agent("first", session), session, start())
    steer = await control(store, BUYER, session, "steer")

    with pytest.raises(sessions.NotDelegated):
        await answer(store, sub_agent("first", session, run="other"), session, steer.offset)

    said = await answer(store, sub_agent("first", session, run="search"), session, steer.offset)
    assert said.answer == "consumed"
