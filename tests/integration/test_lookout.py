"""What other workers of a shared database write reaches readers by one look for all of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg

from market.base import streams
from market.base.clock import to_micros
from market.base.settings import Settings
from market.base.store import Store
from market.base.streams import lookout
from tests.workers import two_workers

LIMIT_SECONDS = 20.0
NOW = to_micros(datetime(2026, 11, 22, tzinfo=UTC))


@contextlib.asynccontextmanager
async def looking(store: Store) -> AsyncIterator[None]:
    """Keep a lookout that looks as soon as it has looked."""
    has_looked = asyncio.Event()

    async def pause(_seconds: float) -> None:
        has_looked.set()
        await asyncio.sleep(0.01)

    task = asyncio.create_task(lookout.keep_lookout(store, pause=pause))
    async with asyncio.timeout(LIMIT_SECONDS):
        await has_looked.wait()
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def waiting_at(store: Store, stream_id: str) -> "asyncio.Task[streams.Read]":
    """Let a reader with much patience wait at the tail; return what will come next."""
    reader = streams.follow(store, stream_id=stream_id, after=-1, patience_seconds=600)
    return asyncio.create_task(anext(reader))


async def test_a_reader_hears_of_another_workers_entries(postgres_settings: Settings):
    with two_workers(postgres_settings) as (left, right):
        await left.write(streams.create, stream_id="s")
        async with looking(left):
            assert streams.bell_seconds(left) == float("inf")
            waiting = waiting_at(left, "s")
            await right.write(streams.append, stream_id="s", data=[b"a"])

            async with asyncio.timeout(LIMIT_SECONDS):
                assert [entry.data for entry in (await waiting).entries] == [b"a"]
        assert streams.bell_seconds(left) < float("inf")


async def test_a_transaction_that_commits_late_is_not_overlooked(postgres_settings: Settings):
    with two_workers(postgres_settings) as (left, right):
        for stream_id in ("late", "busy"):
            await left.write(streams.create, stream_id=stream_id)
        with psycopg.connect(postgres_settings.store) as slow:
            slow.execute("UPDATE streams SET next_offset = 1 WHERE id = 'late'")
            slow.execute(
                'INSERT INTO stream_entries (stream_id, "offset", recorded_at, data) '
                "VALUES ('late', 0, %s, %s)",
                (NOW, b"x"),
            )
            async with looking(left):
                waiting = waiting_at(left, "late")
                since = (await left.scan(lookout.moved, since=None)).oldest
                for number in range(5):
                    await right.write(streams.append, stream_id="busy", data=[b"%d" % number])
                    since = (await left.scan(lookout.moved, since=since)).oldest

                slow.commit()

                assert (await left.scan(lookout.moved, since=since)).last["late"] == 0
                async with asyncio.timeout(LIMIT_SECONDS):
                    assert [entry.data for entry in (await waiting).entries] == [b"x"]


async def test_a_reader_that_has_read_it_all_is_left_alone(postgres_settings: Settings):
    with two_workers(postgres_settings) as (left, _right):
        await left.write(streams.create, stream_id="s")
        await left.write(streams.append, stream_id="s", data=[b"a"])
        with left.hub.listen("s") as ear:
            ear.must_look()
            ear.take(0)

            left.hub.hint({"s": 0}, are_all=True)
            assert not ear.must_look()
            left.hub.hint({"other": 7}, are_all=True)
            assert not ear.must_look()
            left.hub.hint({"s": 1}, are_all=True)
            assert ear.must_look()
            left.hub.hint({}, are_all=False)
            assert ear.must_look()


async def test_a_database_that_is_away_is_looked_at_again(postgres_settings: Settings):
    with two_workers(postgres_settings) as (left, right):
        await left.write(streams.create, stream_id="s")
        since = (await left.scan(lookout.moved, since=None)).oldest
        await right.write(streams.append, stream_id="s", data=[b"a"])
        with psycopg.connect(postgres_settings.store, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        tries = [await lookout.look(left, since) for _ in range(5)]

        assert tries[0] == since, "a look that failed is made again from where it began"
        assert int(tries[-1] or 0) > int(since)


async def test_one_worker_needs_no_lookout(sqlite_settings: Settings):
    store = Store.open(sqlite_settings)
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            await lookout.keep_lookout(store)
        assert not store.hub.has_lookout
    finally:
        store.close()
