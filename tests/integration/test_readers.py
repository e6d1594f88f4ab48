"""Queries in threads: in turn on SQLite, and none keeps the others waiting for long."""

import asyncio
import threading

import pytest

from market.base import readers
from market.base.errors import Overloaded
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import Snapshot
from tests.integration.test_store_faults import soon
from tests.workers import LIMIT_SECONDS


async def test_queries_take_turns_on_sqlite_and_run_beside_each_other_on_a_server(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(readers, "TURN_SECONDS", LIMIT_SECONDS)
    together = threading.Barrier(2)

    def meet(_: Snapshot) -> bool:
        try:
            together.wait(0.5 if settings.dialect == "sqlite" else LIMIT_SECONDS)
        except threading.BrokenBarrierError:
            return False
        return True

    met = await soon(asyncio.gather(store.scan(meet), store.scan(meet)))

    assert met == [settings.dialect != "sqlite"] * 2


async def test_a_slow_query_keeps_no_other_waiting(store: Store):
    is_over = threading.Event()

    def slow(snapshot: Snapshot) -> str:
        is_over.wait(LIMIT_SECONDS)
        return "slow"

    first = asyncio.ensure_future(store.scan(slow))
    answers = await soon(asyncio.gather(*(store.scan(lambda _, n=n: n) for n in range(20))))
    was_running = not first.done()
    is_over.set()

    assert answers == list(range(20))
    assert was_running
    assert await soon(first) == "slow"


async def test_what_waits_when_the_store_closes_is_refused(store: Store):
    is_over = threading.Event()
    waiting = [
        asyncio.ensure_future(store.scan(lambda _: is_over.wait(LIMIT_SECONDS))) for _ in range(20)
    ]
    await asyncio.sleep(0)

    closing = asyncio.ensure_future(asyncio.to_thread(store.close))
    for _ in range(int(LIMIT_SECONDS / 0.01)):
        if store._is_closed:
            break
        await asyncio.sleep(0.01)
    is_over.set()
    answers = await soon(asyncio.gather(*waiting, return_exceptions=True))
    await soon(closing)

    refused = [answer for answer in answers if isinstance(answer, Overloaded)]
    assert refused
    assert len(refused) + answers.count(True) == len(waiting)
    with pytest.raises(Overloaded):
        await store.scan(lambda _: None)
