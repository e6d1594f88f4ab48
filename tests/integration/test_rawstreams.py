"""Raw streams on both databases: what races, what lapses, what goes, and what it must not take."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import chores, rawstreams
from market.base import streams
from market.base.caller import Caller
from market.base.clock import ManualClock
from market.base.errors import MarketError
from market.base.settings import Settings
from market.base.store import Store
from market.base.streams import Producer, StreamNotFound
from market.base.streams import log as stream_log
from market.rawstreams import (
    Append,
    Appended,
    Created,
    Fork,
    NewStream,
    SourceDeleted,
    StreamDeleted,
    StreamExists,
)
from tests.factories import enter
from tests.workers import Hold, somebody_waits, two_workers

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEXT = "text/plain"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


def new(**changes: Any) -> NewStream:
    return NewStream(TEXT, None, None, False, "private", None, b"")._replace(**changes)


def fork_of(path: str, offset: int | None = None, within: int = 0) -> NewStream:
    return new(content_type=None, fork=Fork(path, offset, within))


async def create(store: Store, path: str, caller: Caller | None = None, **changes: Any) -> Created:
    return await store.write(rawstreams.create, caller=caller, path=path, new=new(**changes))


async def fork(store: Store, path: str, source: str, **where: Any) -> Created:
    return await store.write(
        rawstreams.create, caller=None, path=path, new=fork_of(source, **where)
    )


def asked(body: bytes, caller: Caller | None = None, **changes: Any) -> Append:
    return Append(caller, TEXT, body, None, None, closes=False)._replace(**changes)


async def append(
    store: Store, path: str, body: bytes = b"x", caller: Caller | None = None, **changes: Any
) -> Appended:
    requests = [asked(body, caller, **changes)]
    [outcome] = await store.write(rawstreams.append, path=path, requests=requests)
    if isinstance(outcome, MarketError):
        raise outcome
    return outcome


async def remove(store: Store, path: str) -> None:
    await store.write(rawstreams.remove, caller=None, path=path)


async def content(store: Store, path: str) -> bytes:
    stream = await store.read(rawstreams.look_up, caller=None, path=path)
    part = await store.read(
        rawstreams.read, stream_id=stream.id, after=-1, limit=100, max_bytes=1_000_000
    )
    return b"|".join(entry.data for entry in part.entries)


async def count(store: Store, table: str) -> int:
    rows = await store.scan(
        lambda snapshot: snapshot.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    )
    return int(rows[0])


# What lapses


async def test_a_reader_that_comes_late_does_not_bring_a_lapsed_stream_back(
    store: Store, clock: ManualClock
):
    made = await create(store, "short", ttl_seconds=60)

    clock.advance(timedelta(seconds=60))
    await store.write(rawstreams.touch, stream_id=made.stream.id)

    with pytest.raises(StreamNotFound):
        await store.read(rawstreams.look_up, caller=None, path="short")


async def test_use_begins_the_time_to_live_anew(store: Store, clock: ManualClock):
    made = await create(store, "short", ttl_seconds=60)

    for _ in range(3):
        clock.advance(timedelta(seconds=40))
        await store.write(rawstreams.touch, stream_id=made.stream.id)
        clock.advance(timedelta(seconds=40))
        await append(store, "short")

    assert await content(store, "short") == b"x|x|x"


async def test_what_is_refused_is_no_use(store: Store, clock: ManualClock):
    owner = (await enter(store, "thrifty", "buyer")).caller
    stranger = (await enter(store, "nosy", "seller")).caller
    await create(store, "short", owner, ttl_seconds=60)
    clock.advance(timedelta(seconds=40))

    with pytest.raises(StreamNotFound):
        await append(store, "short", caller=stranger)
    clock.advance(timedelta(seconds=20))

    with pytest.raises(StreamNotFound):
        await store.read(rawstreams.look_up, caller=owner, path="short")


async def test_a_stream_that_lives_for_no_time_frees_its_path(store: Store):
    first = await create(store, "now", ttl_seconds=0)
    second = await create(store, "now", ttl_seconds=0)

    assert first.is_new
    assert second.is_new
    assert first.stream.id != second.stream.id


async def test_a_lapsed_source_is_there_for_its_forks_alone(store: Store, clock: ManualClock):
    await create(store, "source", ttl_seconds=60, body=b"shared")
    await fork(store, "fork", "source")
    await store.write(
        rawstreams.create,
        caller=None,
        path="other",
        new=fork_of("source")._replace(expires_at=NOON + timedelta(days=1)),
    )
    clock.advance(timedelta(seconds=50))
    await append(store, "fork")
    clock.advance(timedelta(seconds=10))

    with pytest.raises(StreamDeleted):
        await append(store, "source")
    with pytest.raises(SourceDeleted):
        await fork(store, "late", "source")
    with pytest.raises(StreamExists):
        await create(store, "source")
    assert await content(store, "fork") == b"shared|x"


# Who is told what


async def test_a_stranger_is_not_told_of_a_deleted_stream_that_forks_keep(store: Store):
    owner = (await enter(store, "thrifty", "buyer")).caller
    stranger = (await enter(store, "nosy", "seller")).caller
    await create(store, "plan", owner)
    await store.write(rawstreams.create, caller=owner, path="branch", new=fork_of("plan"))
    await store.write(rawstreams.remove, caller=owner, path="plan")

    with pytest.raises(StreamNotFound):
        await append(store, "plan", caller=stranger)
    with pytest.raises(StreamDeleted):
        await append(store, "plan", caller=owner)
    with pytest.raises(StreamExists, match="Choose another path"):
        await create(store, "plan", stranger)
    with pytest.raises(StreamExists, match="still has forks"):
        await create(store, "plan", owner)


# What goes


async def test_a_forks_end_frees_its_source_and_not_what_took_over_the_path(store: Store):
    await create(store, "source", body=b"old")
    await fork(store, "middle", "source")
    await fork(store, "last", "middle")
    await remove(store, "source")
    await remove(store, "middle")

    await remove(store, "last")
    await create(store, "source", body=b"new")
    await create(store, "middle", body=b"also new")
    await chores.run_chores(store)

    assert await content(store, "source") == b"new"
    assert await content(store, "middle") == b"also new"
    assert await count(store, "raw_streams") == 2
    assert await count(store, "stream_entries") == 2


async def test_a_chain_of_forks_is_read_while_those_between_are_gone(store: Store):
    await create(store, "a", body=b"a0")
    await append(store, "a", b"a1")
    await fork(store, "b", "a", offset=1)
    await append(store, "b", b"b1")
    await fork(store, "c", "b", offset=1, within=1)
    await fork(store, "d", "c", offset=0, within=2)

    await remove(store, "b")
    await remove(store, "a")
    await chores.run_chores(store)

    assert await content(store, "c") == b"a0|b"
    assert await content(store, "d") == b"a0"


async def test_a_slice_of_what_is_gone_is_small_in_bytes_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stream_log, "REMOVED_BYTES", 100)
    await store.write(streams.create, stream_id="heavy")
    await store.write(streams.append, stream_id="heavy", data=[bytes(60)] * 3 + [bytes(300)])

    left = []
    is_done = False
    while not is_done:
        is_done = await store.write(streams.remove, stream_id="heavy")
        left.append(await count(store, "stream_entries"))

    assert left == [3, 2, 1, 0]
    assert await count(store, "streams") == 0


async def test_one_turn_removes_more_than_a_slice(store: Store):
    for number in range(50):
        await create(store, f"short-{number}", body=b"x")
        await remove(store, f"short-{number}")

    await chores.sweep_streams(store)

    assert await count(store, "raw_streams") == 0
    assert await count(store, "stream_entries") == 0


async def test_what_a_worker_wrote_into_a_batch_is_refused_one_by_one(store: Store):
    await create(store, "log")
    twice = Producer("p", 2**53 - 1, 0)

    outcomes = await store.write(
        rawstreams.append,
        path="log",
        requests=[
            asked(b"1", producer=twice),
            asked(b"1", producer=twice),
            asked(b"2", content_type="text/html"),
            asked(b"3", seq="\u00ff"),
            asked(b"4", seq="Z"),
            asked(b"5", closes=True),
            asked(b"6"),
        ],
    )

    assert [isinstance(outcome, Appended) for outcome in outcomes] == [
        True, True, False, True, False, True, False,
    ]  # fmt: skip
    assert await content(store, "log") == b"1|3|5"


# Two workers


async def test_two_workers_make_one_stream_of_one_path(postgres_settings: Settings):
    with two_workers(postgres_settings) as (left, right):
        hold = Hold(rawstreams.create)
        first = asyncio.create_task(
            left.write(hold, caller=None, path="one", new=new(body=b"same"))
        )
        await hold.has_worked()
        second = asyncio.create_task(create(right, "one", body=b"same"))
        await somebody_waits(postgres_settings)
        hold.let_go()

        made, found = await first, await second
        assert (made.is_new, found.is_new) == (True, False)
        assert made.stream.id == found.stream.id
        assert await content(right, "one") == b"same"


async def test_a_fork_and_its_sources_deletion_come_one_after_the_other(
    postgres_settings: Settings,
):
    with two_workers(postgres_settings) as (left, right):
        await create(left, "source", body=b"shared")
        hold = Hold(rawstreams.create)
        branching = asyncio.create_task(
            left.write(hold, caller=None, path="fork", new=fork_of("source"))
        )
        await hold.has_worked()
        deleting = asyncio.create_task(remove(right, "source"))
        await somebody_waits(postgres_settings)
        hold.let_go()
        await branching
        await deleting
        await chores.run_chores(right)

        assert await content(right, "fork") == b"shared"
        with pytest.raises(StreamDeleted):
            await content(left, "source")


async def test_a_deletion_and_a_fork_of_it_come_one_after_the_other(postgres_settings: Settings):
    with two_workers(postgres_settings) as (left, right):
        await create(left, "source", body=b"shared")
        hold = Hold(rawstreams.remove)
        deleting = asyncio.create_task(left.write(hold, caller=None, path="source"))
        await hold.has_worked()
        branching = asyncio.create_task(fork(right, "fork", "source"))
        await somebody_waits(postgres_settings)
        hold.let_go()
        await deleting

        with pytest.raises(StreamNotFound):
            await branching


async def test_the_last_two_forks_that_go_at_once_free_their_source(postgres_settings: Settings):
    with two_workers(postgres_settings) as (left, right):
        await create(left, "source", body=b"shared")
        await fork(left, "one", "source")
        await fork(left, "two", "source")
        await remove(left, "source")
        hold = Hold(rawstreams.remove)
        first = asyncio.create_task(left.write(hold, caller=None, path="one"))
        await hold.has_worked()
        second = asyncio.create_task(remove(right, "two"))
        await somebody_waits(postgres_settings)
        hold.let_go()
        await first
        await second

        assert (await create(right, "source", body=b"new")).is_new


async def test_an_append_and_a_deletion_come_one_after_the_other(postgres_settings: Settings):
    with two_workers(postgres_settings) as (left, right):
        await create(left, "log")
        hold = Hold(rawstreams.remove)
        deleting = asyncio.create_task(left.write(hold, caller=None, path="log"))
        await hold.has_worked()
        writing = asyncio.create_task(append(right, "log"))
        await somebody_waits(postgres_settings)
        hold.let_go()
        await deleting

        with pytest.raises(StreamNotFound):
            await writing
        await chores.run_chores(left)
        assert await count(left, "stream_entries") == 0


async def test_two_workers_remove_what_is_gone_together(
    postgres_settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stream_log, "REMOVED_BYTES", 4)
    with two_workers(postgres_settings) as (left, right):
        for number in range(5):
            await create(left, f"s{number}", body=b"abc")
            for _ in range(3):
                await append(left, f"s{number}", b"abc")
            await remove(left, f"s{number}")

        await asyncio.gather(
            *(chores.sweep_streams(worker) for worker in (left, right) for _ in range(2))
        )

        assert await count(left, "raw_streams") == 0
        assert await count(left, "stream_entries") == 0
