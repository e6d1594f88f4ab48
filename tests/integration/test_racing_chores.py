"""Two workers do the same chores at the same time: everything that is due happens once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from market import audit, orders, sessions
from market.base.clock import ManualClock
from market.base.settings import Settings
from market.chores import run_chores
from market.protocol.wire import Control, ShowPresence, WriteEvent, WriteEvents
from tests.factories import Town, build_town
from tests.workers import two_workers


async def busy_session(town: Town) -> str:
    """A started order, a run, a steer of each that waits, and a device that is there."""
    order = await town.place()
    buyer, store = town.buyer.caller, town.store
    await store.write(orders.start, caller=town.seller.caller, order_id=order.id)
    started = WriteEvent(kind="run.started", body={"run": "search", "title": "Search"})
    here = {"caller": buyer, "session_id": order.session_id}
    await store.write(sessions.write, **here, events=WriteEvents(events=[started]))
    for target in ({"scope": "order"}, {"scope": "run", "run": "search"}):
        asked = Control(action="steer", text="hurry", **target)
        await store.write(orders.control, **here, request=asked)
    present = ShowPresence(status="idle", device="laptop")
    await store.write(sessions.be_present, **here, request=present)
    return order.session_id


@pytest.mark.parametrize("turn", range(2))
async def test_what_is_due_happens_once_whoever_does_the_chores(
    postgres_settings: Settings, turn: int
):
    clock = ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
    with two_workers(postgres_settings, clock=clock) as workers:
        town = await build_town(workers[turn])
        held = await town.available(town.buyer)
        ids = [await busy_session(town) for _ in range(6)]

        for _ in range(2):
            clock.advance(timedelta(seconds=31))
            await asyncio.gather(*(run_chores(worker) for worker in workers))

        for session_id in ids:
            log = await town.log_of(session_id)
            kinds = [event["kind"] for event in log]
            once = ("presence.left", "order.stalled", "order.failed")
            assert [kinds.count(kind) for kind in once] == [1, 1, 1]
            said = [event["body"] for event in log if event["kind"] == "control.answered"]
            assert [body["answer"] for body in said] == ["too_late", "too_late"]
            assert len({body["request_offset"] for body in said}) == 2
        assert await town.available(town.buyer) == held
        assert await workers[0].scan(audit.audit) == []
