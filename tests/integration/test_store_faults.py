"""The store when something fails: a verb, a connection, the disk, another worker."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest

from market.base import database, streams
from market.base import once as answers
from market.base.errors import Conflict, MarketError, Overloaded, QueryTimedOut, StorageFull
from market.base.keys import load_signer
from market.base.once import Once
from market.base.settings import BadSettings, Settings
from market.base.sql import Sql, insert
from market.base.store import Store
from market.base.work import Snapshot, UnitOfWork
from market.protocol.signing import SigningKey
from tests.workers import LIMIT_SECONDS, in_one_batch, somebody_waits, two_workers

ONCE = Once("agent", "key-1", "fingerprint")
T = TypeVar("T")
KEEP = Sql(insert(answers.answers))
KILL_OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class Panic(BaseException):
    """What a library written in another language may raise."""


def make(uow: UnitOfWork, *, stream_id: str) -> None:
    streams.create(uow, stream_id=stream_id)


def add(uow: UnitOfWork, *, stream_id: str, text: str) -> int:
    return streams.append(uow, stream_id=stream_id, data=[text.encode()])


def add_and_panic(uow: UnitOfWork) -> int:
    streams.append(uow, stream_id="s", data=[b"never"])
    raise Panic("out of bounds")


def add_and_stop(uow: UnitOfWork) -> int:
    streams.append(uow, stream_id="s", data=[b"never"])
    return next(iter(()))


def refuse(uow: UnitOfWork, *, detail: str = "No.") -> int:
    raise Conflict(detail)


def refuse_with_odd_facts(uow: UnitOfWork) -> int:
    raise Conflict("No.", odd=object())


async def soon(answer: Awaitable[T]) -> T:
    async with asyncio.timeout(LIMIT_SECONDS):
        return await answer


async def texts(store: Store, stream_id: str = "s") -> list[str]:
    read = await store.read(streams.read, stream_id=stream_id, after=-1)
    return [entry.data.decode() for entry in read.entries]


async def still_writes(store: Store) -> bool:
    await soon(store.write(make, stream_id="alive"))
    return await soon(store.read(streams.stream, stream_id="alive")) is not None


@pytest.mark.parametrize("stumble", [add_and_panic, add_and_stop])
async def test_no_mistake_of_a_verb_costs_its_neighbours_their_answers(
    store: Store, stumble: Callable[[UnitOfWork], int]
):
    await store.write(make, stream_id="s")

    units = await in_one_batch(
        store,
        [
            store.write(add, stream_id="s", text="a"),
            store.write(stumble),
            store.write(add, stream_id="s", text="b"),
        ],
    )
    answered = await soon(asyncio.gather(*units, return_exceptions=True))

    assert [answered[0], answered[2]] == [0, 1]
    assert isinstance(answered[1], RuntimeError)
    assert await texts(store) == ["a", "b"]
    assert await still_writes(store)


async def test_a_refusal_that_cannot_be_kept_is_still_a_refusal(store: Store):
    for _ in range(2):
        with pytest.raises(Conflict):
            await soon(store.write_once(ONCE, refuse_with_odd_facts))

    assert await still_writes(store)


async def test_a_refusal_whose_code_is_no_longer_known_is_not_tried_again(store: Store):
    def keep(uow: UnitOfWork) -> None:
        uow.run(
            KEEP,
            **ONCE._asdict(),
            answer='{"code": "of_an_older_release", "detail": "No.", "facts": {"seen": 1}}',
            is_refusal=True,
            answered_at=uow.now,
        )

    await store.write(keep)

    with pytest.raises(Conflict) as repeated:
        await store.write_once(ONCE, add, stream_id="s", text="a")

    assert (repeated.value.detail, repeated.value.facts) == ("No.", {"seen": 1})


async def test_a_full_disk_refuses_and_the_store_goes_on_when_there_is_room(
    sqlite_settings: Settings,
):
    """D8: reads go on, writes are refused by name, and nobody starts anything again."""

    def limit(uow: UnitOfWork, *, spare: int) -> None:
        [pages] = uow.connection.execute("PRAGMA page_count").fetchone()
        uow.connection.execute(f"PRAGMA max_page_count = {pages + spare}")

    store = Store.open(sqlite_settings)
    await store.write(make, stream_id="s")
    await store.write(limit, spare=0)
    full = await soon(
        asyncio.gather(
            store.write_once(ONCE, refuse, detail="No. " * 10_000),
            store.write(add, stream_id="s", text="x" * 100_000),
            return_exceptions=True,
        )
    )
    assert [type(answer) for answer in full] == [StorageFull, StorageFull]

    # The connection that knew the limit was given up.
    assert await soon(store.write(add, stream_id="s", text="a")) == 0

    assert await texts(store) == ["a"]
    store.close()


async def test_a_connection_killed_midway_voids_its_batch_and_no_later_one(
    postgres_settings: Settings,
):
    def be_killed(uow: UnitOfWork) -> None:
        pid = uow.connection.info.backend_pid  # type: ignore[attr-defined]
        with psycopg.connect(postgres_settings.store, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    store = Store.open(postgres_settings)
    await store.write(make, stream_id="s")

    units = await in_one_batch(
        store,
        [
            store.write(add, stream_id="s", text="a"),
            store.write(be_killed),
            store.write(add, stream_id="s", text="b"),
        ],
    )
    answered = await soon(asyncio.gather(*units, return_exceptions=True))

    assert [type(answer) for answer in answered] == [Overloaded] * 3
    assert await soon(store.write(add, stream_id="s", text="c")) == 0
    assert await texts(store) == ["c"]
    store.close()


async def test_connections_lost_while_nobody_used_them_are_opened_anew(
    postgres_settings: Settings,
):
    store = Store.open(postgres_settings)
    await store.write(make, stream_id="s")
    await asyncio.gather(*(store.read(streams.stream, stream_id="s") for _ in range(8)))
    with psycopg.connect(postgres_settings.store, autocommit=True) as other:
        other.execute(KILL_OTHERS)

    assert await soon(store.write(add, stream_id="s", text="a")) == 0

    for _ in range(8):
        try:
            assert await soon(texts(store)) == ["a"]
        except Overloaded:
            continue
    assert await soon(texts(store)) == ["a"]
    store.close()


async def test_a_server_that_cannot_be_reached_refuses_and_hangs_nobody(
    postgres_settings: Settings,
):
    store = Store.open(postgres_settings.with_(store="postgresql://127.0.0.1:1/nowhere"))

    for _ in range(6):
        with pytest.raises(Overloaded):
            await soon(store.read(streams.stream, stream_id="s"))
        with pytest.raises(Overloaded):
            await soon(store.write(make, stream_id="s"))
    store.close()


async def test_a_refusal_that_another_worker_keeps_meanwhile_is_the_answer(
    postgres_settings: Settings,
):
    store = Store.open(postgres_settings)
    other = await psycopg.AsyncConnection.connect(postgres_settings.store)
    async with other:
        await other.execute(
            "INSERT INTO idempotency_answers VALUES (%s, %s, %s, %s, 1, 0)",
            (*ONCE, '{"code": "conflict", "detail": "The first.", "facts": {}}'),
        )
        asked = asyncio.create_task(store.write_once(ONCE, refuse, detail="The second."))
        await somebody_waits(postgres_settings)
        await other.commit()

    with pytest.raises(Conflict, match=r"The first\."):
        await soon(asked)
    assert await still_writes(store)
    store.close()


async def test_units_behind_another_workers_row_keep_their_order_and_their_callers(
    postgres_settings: Settings,
):
    store = Store.open(postgres_settings)
    for stream_id in ("free", "held"):
        await store.write(make, stream_id=stream_id)
    other = await psycopg.AsyncConnection.connect(postgres_settings.store)
    async with other:
        await other.execute("SELECT * FROM streams WHERE id = 'held' FOR UPDATE")
        before, *behind = await in_one_batch(
            store,
            [
                store.write(add, stream_id="free", text="a"),
                *(store.write(add, stream_id="held", text=text) for text in ("b", "c", "d")),
            ],
        )

        # It shares their batch, and does not wait for what they wait for.
        assert await soon(before) == 0

        assert not any(unit.done() for unit in behind)
        await other.rollback()
    assert await soon(asyncio.gather(*behind)) == [0, 1, 2]
    assert await texts(store, "held") == ["b", "c", "d"]
    store.close()


async def test_two_workers_that_want_each_others_rows_both_get_them(postgres_settings: Settings):
    both_hold_one = threading.Barrier(2)
    tries = []

    def add_to_both(uow: UnitOfWork, *, first: str, then: str) -> int:
        add(uow, stream_id=first, text="x")
        tries.append(first)
        if tries.count(first) == 1:
            both_hold_one.wait(LIMIT_SECONDS)
        return add(uow, stream_id=then, text="y")

    with two_workers(postgres_settings) as (left, right):
        for stream_id in ("s", "t"):
            await left.write(make, stream_id=stream_id)

        landed = await soon(
            asyncio.gather(
                left.write(add_to_both, first="s", then="t"),
                right.write(add_to_both, first="t", then="s"),
            )
        )

        assert sorted(landed) in ([0, 1], [1, 1])
        assert sorted(await texts(left, "s")) == sorted(await texts(left, "t")) == ["x", "y"]
        assert len(tries) > 2


async def test_a_reader_gets_what_two_workers_append_in_turn_each_once(
    postgres_settings: Settings,
):
    with two_workers(postgres_settings) as (left, right):
        await left.write(make, stream_id="s")
        reader = streams.follow(left, stream_id="s", after=-1)
        await left.write(add, stream_id="s", text="0")
        seen = [entry.offset for entry in (await anext(reader)).entries]

        # The reader does not listen meanwhile: its own worker's entries wait in memory.
        for worker, text in ((left, "1"), (right, "2"), (right, "3"), (left, "4")):
            await worker.write(add, stream_id="s", text=text)
        await right.write(streams.close, stream_id="s")
        async with asyncio.timeout(LIMIT_SECONDS):
            async for read in reader:
                seen += [entry.offset for entry in read.entries]

        assert seen == [0, 1, 2, 3, 4]


async def test_a_patient_reader_does_not_wait_out_its_patience_for_another_worker(
    postgres_settings: Settings,
):
    with two_workers(postgres_settings) as (left, right):
        await left.write(make, stream_id="s")
        reader = streams.follow(left, stream_id="s", after=-1, patience_seconds=600)
        waiting = asyncio.create_task(anext(reader))
        await asyncio.sleep(0)
        await right.write(add, stream_id="s", text="a")

        assert [entry.data for entry in (await soon(waiting)).entries] == [b"a"]
        await reader.aclose()


async def test_a_page_ends_by_bytes_or_by_count_and_the_next_one_goes_on(store: Store):
    sizes = [10] * 100 + [60_000] * 20 + [10] * 700
    await store.write(make, stream_id="s")
    data = [b"x" * size for size in sizes]
    await store.write(streams.append, stream_id="s", data=data)
    after, pages = -1, []

    while True:
        read = await store.read(streams.read, stream_id="s", after=after)
        if not read.entries:
            break
        pages.append([len(entry.data) for entry in read.entries])
        assert read.entries[0].offset == after + 1
        after = read.entries[-1].offset

    assert [size for page in pages for size in page] == sizes
    assert all(len(page) <= streams.MAX_PAGE for page in pages)
    assert all(sum(page) <= streams.MAX_PAGE_BYTES for page in pages)


async def test_a_caller_that_gives_up_leaves_the_others_their_answers(store: Store):
    await store.write(make, stream_id="s")
    units = [
        asyncio.create_task(store.write(add, stream_id="s", text=str(number)))
        for number in range(10)
    ]
    await asyncio.sleep(0)
    units[4].cancel()

    answered = await soon(asyncio.gather(*units, return_exceptions=True))

    assert isinstance(answered[4], asyncio.CancelledError)
    assert [answer for answer in answered if isinstance(answer, int)] == [
        number for number in range(10) if number != 4
    ]


async def test_closing_answers_what_is_queued_and_refuses_what_comes_after(settings: Settings):
    store = Store.open(settings)
    await store.write(make, stream_id="s")
    await store.scan(streams.stream, stream_id="s")
    queued = [
        asyncio.create_task(store.write(add, stream_id="s", text=str(number)))
        for number in range(50)
    ]
    await asyncio.sleep(0)

    store.close()

    assert await soon(asyncio.gather(*queued)) == list(range(50))
    late: list[Awaitable[object]] = [
        store.write(add, stream_id="s", text="late"),
        store.scan(streams.stream, stream_id="s"),
    ]
    for request in late:
        with pytest.raises(MarketError, match="shutting down"):
            await soon(request)


def test_a_crash_while_the_key_is_made_leaves_a_market_that_starts(tmp_path: Path):
    (tmp_path / "market.key.new").write_text("half a k")

    made = load_signer(tmp_path)

    assert load_signer(tmp_path).kid == made.kid


def test_a_production_market_does_not_sign_with_a_key_that_everybody_has(
    sqlite_settings: Settings,
):
    """X4: the examples of standards are test keys; a sandbox may use them."""
    seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    SigningKey.from_seed(bytes.fromhex(seed)).save(sqlite_settings.home / "market.key")

    with pytest.raises(BadSettings, match="test key"):
        Store.open(sqlite_settings.with_(mode="production"))
    Store.open(sqlite_settings).close()


COUNT_FOR_LONG = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) "
    "SELECT count(*) FROM n"
)


def count_for_long(snapshot: Snapshot) -> int:
    return int(snapshot.connection.execute(COUNT_FOR_LONG).fetchone()[0])


async def test_a_statement_that_reads_for_too_long_is_ended_and_the_reader_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    """D4: a costly query is refused by name, in a thread and in the loop; its reader is used on."""
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 0.2)
    store = Store.open(settings)
    await store.write(make, stream_id="s")

    for _ in range(5):
        with pytest.raises(QueryTimedOut) as refused:
            await soon(store.scan(count_for_long))
    with pytest.raises(QueryTimedOut):
        store.read_now(count_for_long)

    assert (refused.value.code, refused.value.status) == ("query_timed_out", 503)
    assert refused.value.facts["retry_after_seconds"] >= 1
    assert store.read_now(streams.stream, stream_id="s") is not None
    assert await asyncio.gather(*(texts(store) for _ in range(8))) == [[]] * 8
    store.close()


async def test_what_is_acknowledged_is_on_disk_whatever_the_server_says(
    postgres_settings: Settings,
):
    """P2: also where the database's own setting is to answer before the disk has it."""
    with psycopg.connect(postgres_settings.store, autocommit=True) as connection:
        [name] = connection.execute("SELECT current_database()").fetchone() or [""]
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    store = Store.open(postgres_settings)

    def shown(uow: UnitOfWork) -> str:
        return str(uow.connection.execute("SHOW synchronous_commit").fetchone()[0])

    assert await soon(store.write(shown)) == "on"
    store.close()
