"""The store under a database that refuses and a clock that goes back."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from market import sessions
from market.base import clock as base_clock
from market.base import database
from market.base.caller import Caller
from market.base.clock import Clock, ManualClock, SystemClock
from market.base.errors import Overloaded
from market.base.once import Once
from market.base.settings import Settings
from market.base.store import MAX_RETRIES, Store
from market.base.work import UnitOfWork
from market.protocol.chain import read_entry, verify_chain
from market.protocol.wire import OpenSession, WriteEvent, WriteEvents

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONFLICT = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$"
BUYER = Caller("buyer", "buyer", "buyer", None, frozenset({"read", "order"}), {}, "http://m.test")


@pytest.fixture
def clock() -> Clock:
    return ManualClock(START)


async def a_session(store: Store) -> str:
    view = await store.write(
        sessions.open_session, buyer_id="buyer", principal_id=None, request=OpenSession(need="x")
    )
    return view.id


def note(text: str) -> WriteEvents:
    return WriteEvents(events=[WriteEvent(kind="note.written", body={"text": text})])


async def log_of(store: Store, session_id: str) -> list[dict[str, Any]]:
    reading = await store.read(
        sessions.events, caller=BUYER, session_id=session_id, after=-1, limit=100
    )
    return [msgspec.json.decode(event.json) for event in reading.events]


async def test_a_conflict_that_lasts_is_tried_so_often_and_then_refused(
    postgres_settings: Settings,
):
    """M23: eleven tries, then 503 with a time to wait; nothing of it stays or is remembered."""
    store = Store.open(postgres_settings)
    tries: list[int] = []

    def conflicting(uow: UnitOfWork, *, session_id: str) -> int:
        tries.append(1)
        sessions.append(
            uow,
            session_id=session_id,
            events=[sessions.NewEvent("note.written", "buyer", {"text": "never"})],
        )
        if len(tries) <= MAX_RETRIES + 1:
            uow.connection.execute(CONFLICT)
        return len(tries)

    session_id = await a_session(store)
    once = Once("buyer", "key-1", "fingerprint")
    async with asyncio.timeout(20):
        with pytest.raises(Overloaded) as refusal:
            await store.write_once(once, conflicting, session_id=session_id)
        assert len(tries) == MAX_RETRIES + 1
        assert refusal.value.status == 503
        assert refusal.value.facts["retry_after_seconds"] == 1
        assert len(await log_of(store, session_id)) == 1

        assert await store.write_once(once, conflicting, session_id=session_id) == len(tries)

    assert len(await log_of(store, session_id)) == 2
    store.close()


async def test_the_log_goes_by_offsets_whatever_the_clock_does(store: Store, clock: ManualClock):
    """L12: order is by offset; a clock that was set back breaks no chain and reorders nothing."""
    session_id = await a_session(store)
    for text, step in (("one", 60), ("two", -90), ("three", 0)):
        clock._now += timedelta(seconds=step)
        await store.write(sessions.write, caller=BUYER, session_id=session_id, events=note(text))

    log = await log_of(store, session_id)

    assert [event["offset"] for event in log] == [0, 1, 2, 3]
    assert [event["body"].get("text") for event in log[1:]] == ["one", "two", "three"]
    assert verify_chain(read_entry(event) for event in log) == log[-1]["hash"]


def test_the_clock_of_a_process_never_goes_back(monkeypatch: pytest.MonkeyPatch):
    """L12: what is recorded by one process is in the order of its times, too."""
    told = [START, START + timedelta(hours=1), START - timedelta(days=1), START]

    class Told(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return told.pop(0)

    monkeypatch.setattr(base_clock, "datetime", Told)
    clock = SystemClock()

    assert [clock.now() - START for _ in range(4)] == [
        timedelta(0), timedelta(hours=1), timedelta(hours=1), timedelta(hours=1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ahead", "is_held"),
    [
        (timedelta(minutes=4, seconds=50), True),
        (timedelta(minutes=5, seconds=10), False),
        (timedelta(days=400), False),
        (timedelta(days=-1), False),
    ],
)
async def test_a_market_that_starts_under_an_earlier_clock_goes_on_from_its_record(
    settings: Settings, ahead: timedelta, is_held: bool
):
    """L12: by up to five minutes; a record from far ahead holds no deadline up."""
    recorded = datetime.now(UTC) + ahead
    before = Store.open(settings, clock=ManualClock(recorded))
    session_id = await a_session(before)
    before.close()

    after = Store.open(settings)
    await after.write(sessions.write, caller=BUYER, session_id=session_id, events=note("later"))

    first, second = [event["recorded_at"] for event in await log_of(after, session_id)]
    moved = timedelta(seconds=5)
    if is_held:
        assert second == first
        assert after.clock.now() == recorded
    else:
        assert abs(after.clock.now() - datetime.now(UTC)) < moved
        assert (second > first) == (ahead < timedelta(0))
    after.close()


def test_a_market_starts_without_a_record_that_cannot_be_read_now(
    postgres_settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    """L12: nobody waits for a worker that keeps the table, such as one that migrates it."""
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 0.2)
    with psycopg.connect(postgres_settings.store) as other:
        other.execute("LOCK TABLE stream_entries IN ACCESS EXCLUSIVE MODE")
        store = Store.open(postgres_settings)

    assert abs(store.clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    store.close()


def test_an_empty_store_starts_at_the_machines_time(settings: Settings):
    store = Store.open(settings)

    assert abs(store.clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    store.close()


async def test_an_event_has_its_largest_size(store: Store):
    """L9: 64 KiB as stored, and not a byte of it in the log beyond that."""
    session_id = await a_session(store)
    most = note("x" * (sessions.MAX_EVENT_BYTES - 1_000))
    await store.write(sessions.write, caller=BUYER, session_id=session_id, events=most)

    with pytest.raises(sessions.BadEvent):
        await store.write(
            sessions.write,
            caller=BUYER,
            session_id=session_id,
            events=note("x" * sessions.MAX_EVENT_BYTES),
        )

    assert len(await log_of(store, session_id)) == 2
