"""The store: group commit, savepoints, idempotency, snapshots, on both databases."""

import asyncio

import pytest

from market.base import streams
from market.base.errors import Conflict, KeyReused
from market.base.once import Once
from market.base.store import Store
from market.base.work import UnitOfWork


def make(uow: UnitOfWork, *, stream_id: str) -> str:
    streams.create(uow, stream_id=stream_id)
    return stream_id


def add(uow: UnitOfWork, *, stream_id: str, text: str) -> int:
    return streams.append(uow, stream_id=stream_id, data=[text.encode()])


def add_then_refuse(uow: UnitOfWork, *, stream_id: str) -> int:
    streams.append(uow, stream_id=stream_id, data=[b"never"])
    raise Conflict("No.", seen=1)


def texts(read: streams.Read) -> list[str]:
    return [entry.data.decode() for entry in read.entries]


async def test_a_refusal_rolls_back_its_own_unit_and_no_other(store: Store):
    await store.write(make, stream_id="s")

    answers = await asyncio.gather(
        store.write(add, stream_id="s", text="a"),
        store.write(add_then_refuse, stream_id="s"),
        store.write(add, stream_id="s", text="b"),
        return_exceptions=True,
    )

    assert answers[0] == 0
    assert isinstance(answers[1], Conflict)
    assert answers[2] == 1
    assert texts(await store.read(streams.read, stream_id="s", after=-1)) == ["a", "b"]


async def test_units_that_wait_together_share_a_commit(store: Store):
    await store.write(make, stream_id="s")
    before = store.commits

    await asyncio.gather(*(store.write(add, stream_id="s", text=str(n)) for n in range(100)))

    assert store.commits - before < 50
    read = await store.read(streams.read, stream_id="s", after=-1)
    assert [entry.offset for entry in read.entries] == list(range(100))


async def test_a_repeated_key_gets_the_first_answer_and_has_no_second_effect(store: Store):
    await store.write(make, stream_id="s")
    once = Once("agent", "key-1", "fingerprint")

    first = await store.write_once(once, add, stream_id="s", text="a")
    again = await store.write_once(once, add, stream_id="s", text="a")

    assert first == again == 0
    assert texts(await store.read(streams.read, stream_id="s", after=-1)) == ["a"]


async def test_the_same_key_twice_in_one_batch_has_one_effect(store: Store):
    await store.write(make, stream_id="s")
    once = Once("agent", "key-1", "fingerprint")

    answers = await asyncio.gather(
        *(store.write_once(once, add, stream_id="s", text="a") for _ in range(20))
    )

    assert answers == [0] * 20


async def test_a_key_reused_for_another_request_is_refused(store: Store):
    await store.write(make, stream_id="s")
    await store.write_once(Once("agent", "key-1", "one"), add, stream_id="s", text="a")

    with pytest.raises(KeyReused):
        await store.write_once(Once("agent", "key-1", "two"), add, stream_id="s", text="b")


async def test_a_refusal_is_remembered_with_its_facts(store: Store):
    await store.write(make, stream_id="s")
    once = Once("agent", "key-1", "fingerprint")
    with pytest.raises(Conflict):
        await store.write_once(once, add_then_refuse, stream_id="s")

    with pytest.raises(Conflict) as repeated:
        await store.write_once(once, add_then_refuse, stream_id="s")

    assert repeated.value.facts == {"seen": 1}
    assert texts(await store.read(streams.read, stream_id="s", after=-1)) == []


async def test_a_bug_fails_its_own_unit_and_is_not_remembered(store: Store):
    await store.write(make, stream_id="s")
    once = Once("agent", "key-1", "fingerprint")

    def stumble(uow: UnitOfWork) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.write_once(once, stumble)
    assert await store.write_once(once, add, stream_id="s", text="a") == 0
