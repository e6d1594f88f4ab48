"""Notes on both databases: kept, versioned, found, forgotten, and nobody else's business."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import memory
from market.base.caller import Caller
from market.base.clock import ManualClock
from market.base.errors import InsufficientScope, NotFound
from market.base.paging import BadCursor
from market.base.settings import Settings
from market.base.sql import Sql, insert
from market.base.store import Store
from market.base.work import UnitOfWork
from market.memory.tables import notes
from market.protocol.wire import NoteView, WriteNote
from tests.factories import race
from tests.outsiders import Outsider

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SESSION = "ses_01h455vb4pex5vsknk084sn02q"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def me(settings: Settings) -> Caller:
    return Outsider(settings).caller()


@pytest.fixture
def other(settings: Settings) -> Caller:
    return Outsider(settings, "overseer").caller()


async def write(
    store: Store,
    caller: Caller,
    key: str = "acme",
    value: dict[str, Any] | None = None,
    namespace: str = "sellers",
    **note: Any,
) -> NoteView:
    return await store.write(
        memory.write,
        caller=caller,
        namespace=namespace,
        key=key,
        note=WriteNote(value=value or {"trust": 0.5}, **note),
    )


async def read(
    store: Store, caller: Caller, key: str = "acme", namespace: str = "sellers"
) -> NoteView:
    return await store.read(memory.read, caller=caller, namespace=namespace, key=key)


async def found(store: Store, caller: Caller, text: str, **where: Any) -> list[str]:
    page = await store.scan(memory.search, caller=caller, text=text, **where)
    return [note.key for note in page.items]


async def test_a_note_is_read_as_it_was_written(store: Store, me: Caller) -> None:
    value = {"trust": 0.25, "why": "Täglich pünktlich", "orders": [1, None, True]}

    written = await write(store, me, value=value, session_id=SESSION, offset=7)

    assert written == await read(store, me)
    assert written == NoteView(
        namespace="sellers",
        key="acme",
        value=value,
        version=1,
        session_id=SESSION,
        offset=7,
        written_at="2026-11-22T12:00:00.000000Z",
        expires_at=None,
    )


async def test_a_note_without_provenance_has_none(store: Store, me: Caller) -> None:
    await write(store, me, session_id=SESSION, offset=7)

    note = await write(store, me)

    assert (note.session_id, note.offset) == (None, None)


async def test_each_write_is_a_new_version(store: Store, me: Caller) -> None:
    versions = [(await write(store, me, value={"n": number})).version for number in range(3)]

    assert versions == [1, 2, 3]
    assert (await read(store, me)).value == {"n": 2}


async def test_a_conditional_write_needs_the_present_version(store: Store, me: Caller) -> None:
    await write(store, me, if_version=0)
    await write(store, me, if_version=1)

    for version in (0, 1, 3):
        with pytest.raises(memory.NoteChanged) as refusal:
            await write(store, me, value={"lost": True}, if_version=version)
        assert refusal.value.facts == {"version": 2}

    assert (await read(store, me)).value == {"trust": 0.5}
    with pytest.raises(memory.NoteChanged) as refusal:
        await write(store, me, key="new", if_version=1)
    assert refusal.value.facts == {"version": 0}


async def test_of_many_conditional_writes_at_once_one_wins(store: Store, me: Caller) -> None:
    await write(store, me)

    refusals = await race(16, lambda: write(store, me, if_version=1), collect=memory.NoteChanged)

    assert len(refusals) == 15


async def test_two_workers_write_one_note_in_turn(postgres_settings: Settings) -> None:
    stores = [Store.open(postgres_settings) for _ in range(2)]
    me = Outsider(postgres_settings).caller()
    turns = iter(range(20))

    await race(20, lambda: write(stores[next(turns) % 2], me), collect=memory.NoteChanged)

    assert (await read(stores[0], me)).version >= 18
    for store in stores:
        store.close()


async def test_a_note_is_there_until_its_time_is_over(
    store: Store, me: Caller, clock: ManualClock
) -> None:
    note = await write(store, me, ttl_seconds=60)
    assert note.expires_at == "2026-11-22T12:01:00.000000Z"
    clock.advance(timedelta(seconds=60, microseconds=-1))
    assert await read(store, me) == note

    clock.advance(timedelta(microseconds=1))

    with pytest.raises(NotFound):
        await read(store, me)
    with pytest.raises(NotFound):
        await store.write(memory.forget, caller=me, namespace="sellers", key="acme")
    assert await found(store, me, "acme") == []
    again = await write(store, me, if_version=0)
    assert again.version == 2
    assert again.expires_at is None


async def test_a_sweep_removes_what_is_over_and_nothing_else(
    store: Store, me: Caller, clock: ManualClock
) -> None:
    await write(store, me, key="short", ttl_seconds=60)
    await write(store, me, key="long", ttl_seconds=61)
    await write(store, me, key="for ever")
    clock.advance(timedelta(seconds=60))

    assert await store.write(memory.sweep) == 1
    assert await store.write(memory.sweep) == 0
    assert await found(store, me, "") == ["for ever", "long"]


async def test_a_forgotten_note_is_gone(store: Store, me: Caller) -> None:
    await write(store, me)

    await store.write(memory.forget, caller=me, namespace="sellers", key="acme")

    with pytest.raises(NotFound):
        await read(store, me)
    with pytest.raises(NotFound):
        await store.write(memory.forget, caller=me, namespace="sellers", key="acme")


async def test_nobody_else_can_tell_that_a_note_exists(
    store: Store, me: Caller, other: Caller
) -> None:
    mine = await write(store, me, value={"secret": "budget"})

    with pytest.raises(NotFound) as there:
        await read(store, other)
    with pytest.raises(NotFound) as nowhere:
        await read(store, other, key="none")
    assert (there.value.detail, there.value.facts) == (nowhere.value.detail, nowhere.value.facts)
    with pytest.raises(NotFound):
        await store.write(memory.forget, caller=other, namespace="sellers", key="acme")
    assert await found(store, other, "budget") == []
    assert (await write(store, other, if_version=0)).version == 1
    assert await read(store, me) == mine


async def test_notes_are_listed_by_namespace_and_key_in_pages(
    store: Store, me: Caller, other: Caller
) -> None:
    for namespace in ("sellers", "prices"):
        for key in ("c", "a", "b"):
            await write(store, me, key=key, namespace=namespace)
            await write(store, other, key=f"other {key}", namespace=namespace)
    seen: list[str] = []
    cursor = None

    for _ in range(3):
        page = await store.scan(memory.list_notes, caller=me, cursor=cursor, limit=2)
        seen += [f"{note.namespace}/{note.key}" for note in page.items]
        cursor = page.next

    assert seen == [f"{name}/{key}" for name in ("prices", "sellers") for key in "abc"]
    assert cursor is None
    page = await store.scan(memory.list_notes, caller=me, namespace="prices")
    assert [note.key for note in page.items] == ["a", "b", "c"]
    with pytest.raises(BadCursor):
        await store.scan(memory.list_notes, caller=me, cursor="made-up")


async def test_notes_are_found_by_any_part_of_key_or_value(store: Store, me: Caller) -> None:
    await write(store, me, key="Acme PDF", value={"verdict": "Pünktlich, 100% ok"})
    await write(store, me, key="other", value={"names": ["acme", {"deep": "x_y"}], "n": 4096})
    await write(store, me, key="acme", namespace="prices", value={"n": 1})

    assert await found(store, me, "ACME") == ["acme", "Acme PDF", "other"]
    assert await found(store, me, "acme", namespace="sellers") == ["Acme PDF", "other"]
    assert await found(store, me, "PÜNKT") == ["Acme PDF"]
    assert await found(store, me, "100%") == ["Acme PDF"]
    assert await found(store, me, "0%0") == []
    assert await found(store, me, "x_y") == ["other"]
    assert await found(store, me, "x.y") == []
    assert await found(store, me, "409") == ["other"]
    assert await found(store, me, "deep") == ["other"]
    assert await found(store, me, "nothing like it") == []
    await write(store, me, key="Acme PDF", value={"verdict": "late"})
    assert await found(store, me, "pünkt") == []


async def test_a_value_has_a_largest_size(store: Store, me: Caller) -> None:
    frame = len('{"text":""}')

    await write(store, me, value={"text": "x" * (memory.MAX_NOTE - frame)})

    with pytest.raises(memory.NoteTooLarge) as refusal:
        await write(store, me, value={"text": "x" * (memory.MAX_NOTE - frame + 1)})
    assert refusal.value.facts == {"bytes": memory.MAX_NOTE + 1}
    with pytest.raises(memory.NoteTooLarge):
        await write(store, me, value={"text": "é" * (memory.MAX_NOTE // 2)})


async def test_an_agent_keeps_so_many_notes_and_no_more(
    store: Store, me: Caller, other: Caller, clock: ManualClock
) -> None:
    def fill(uow: UnitOfWork) -> None:
        row = dict.fromkeys(column.name for column in notes.c) | {
            "agent_id": me.agent_id,
            "namespace": "many",
            "value": {},
            "searchable": "",
            "version": 1,
            "written_at": NOON,
        }
        expiring = {**row, "key": "0", "expires_at": NOON + timedelta(seconds=60)}
        lasting = [{**row, "key": str(number)} for number in range(1, memory.MAX_NOTES - 1)]
        uow.run_many(Sql(insert(notes)), [expiring, *lasting])

    await store.write(fill)
    await write(store, me, key="last")

    with pytest.raises(memory.MemoryFull):
        await write(store, me, key="too many")
    assert (await write(store, me, key="last")).version == 2
    assert await write(store, other)
    clock.advance(timedelta(seconds=60))
    assert await write(store, me, key="in place of the one whose time is over")


@pytest.mark.parametrize(
    ("namespace", "key"),
    [
        ("", "acme"),
        ("Sellers", "acme"),
        ("sellers/x", "acme"),
        ("s" * 65, "acme"),
        ("sellers\n", "acme"),
        ("sellers", ""),
        ("sellers", "k" * 201),
        ("sellers", "two\nlines"),
        ("sellers", "NUL \0"),
        ("sellers", "bidi \u202e"),
        ("sellers", "lone \ud800"),
    ],
)
async def test_a_place_that_cannot_be_is_refused(
    store: Store, me: Caller, namespace: str, key: str
) -> None:
    with pytest.raises(memory.BadNote):
        await write(store, me, key=key, namespace=namespace)
    with pytest.raises(memory.BadNote):
        await read(store, me, key=key, namespace=namespace)
    with pytest.raises(memory.BadNote):
        await store.write(memory.forget, caller=me, namespace=namespace, key=key)


@pytest.mark.parametrize("key", ["k", "k" * 200, "mit Umlauten äöü", "a/b c?d%e", "日本語"])
async def test_a_key_may_be_any_plain_line(store: Store, me: Caller, key: str) -> None:
    await write(store, me, key=key)

    assert (await read(store, me, key=key)).key == key
    assert await found(store, me, key) == [key]


@pytest.mark.parametrize(
    "note",
    [
        {"offset": 5},
        {"value": {"text": "NUL \0"}},
        {"value": {"text": "lone \ud800"}},
        {"value": {"n": 2**60}},
        {"value": {"n": float("nan")}},
    ],
)
async def test_a_note_that_cannot_be_kept_is_refused(
    store: Store, me: Caller, note: dict[str, Any]
) -> None:
    with pytest.raises(memory.BadNote):
        await write(store, me, **note)


@pytest.mark.parametrize("text", ["x" * 201, "NUL \0", "two\nlines"])
async def test_a_search_that_cannot_be_is_refused(store: Store, me: Caller, text: str) -> None:
    with pytest.raises(memory.BadNote):
        await found(store, me, text)
    with pytest.raises(memory.BadNote):
        await found(store, me, "x", namespace=text)


async def test_memory_needs_the_scope_to_read(store: Store, me: Caller) -> None:
    poor = me._replace(scopes=frozenset({"order"}))

    with pytest.raises(InsufficientScope):
        await write(store, poor)
    with pytest.raises(InsufficientScope):
        await read(store, poor)
    with pytest.raises(InsufficientScope):
        await found(store, poor, "x")
    with pytest.raises(InsufficientScope):
        await store.write(memory.forget, caller=poor, namespace="sellers", key="acme")
