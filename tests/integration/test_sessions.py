"""Sessions: who may write and see what, the chain, and reading without gap or repeat."""

import asyncio
import json
from contextlib import aclosing

import pytest

from market import sessions
from market.base.caller import Caller
from market.base.store import Store
from market.base.streams import Producer, ProducerFenced, ProducerGap
from market.base.work import UnitOfWork
from market.protocol.chain import read_entry, verify_chain
from market.protocol.commitments import AgentKind
from market.protocol.wire import Appended, OpenSession, SessionView, WriteEvent, WriteEvents
from market.sessions import Feed, NewEvent, Shown, writing

SCOPES = frozenset({"read", "order", "pay", "review", "oversee", "publish"})


def caller(name: str, kind: AgentKind = "buyer", principal: str | None = None) -> Caller:
    return Caller(name, name, kind, principal, SCOPES, {}, "http://market.test")


BUYER = caller("buyer", principal="principal")
PRINCIPAL = caller("principal", "principal")
SELLER = caller("seller", "seller")
OVERSEER = caller("overseer", "overseer")
STRANGER = caller("stranger")


@pytest.fixture
async def session(store: Store) -> SessionView:
    return await store.write(
        sessions.open_session,
        buyer_id="buyer",
        principal_id="principal",
        request=OpenSession(need="key sentences", labels={"run": "one"}),
    )


def note(text: str, order_id: str | None = None) -> WriteEvents:
    return WriteEvents(
        events=[WriteEvent(kind="note.written", body={"text": text}, order_id=order_id)]
    )


def chunk(number: int, order_id: str = "ord_1") -> NewEvent:
    return NewEvent("delivery.chunk", "seller", {"index": number}, order_id)


async def read_all(store: Store, reader: Caller, session_id: str) -> list[dict]:
    reading = await store.read(
        sessions.events, caller=reader, session_id=session_id, after=-1, limit=500
    )
    return [json.loads(event.json) for event in reading.events]


async def test_a_session_begins_with_its_own_opening(store: Store, session: SessionView):
    events = await read_all(store, BUYER, session.id)

    assert [event["kind"] for event in events] == ["session.opened"]
    assert events[0]["body"]["need"] == "key sentences"
    assert session.next_offset == 1
    assert session.head_hash == events[0]["hash"]


@pytest.mark.parametrize("owner", [BUYER, PRINCIPAL, OVERSEER], ids=lambda c: c.agent_id)
async def test_owners_see_everything(store: Store, session: SessionView, owner: Caller):
    await store.write(sessions.write, caller=BUYER, session_id=session.id, events=note("mine"))

    events = await read_all(store, owner, session.id)

    assert events[1]["body"] == {"text": "mine"}


async def test_a_stranger_cannot_tell_that_a_session_exists(store: Store, session: SessionView):
    with pytest.raises(sessions.SessionNotFound) as of_another:
        await store.read(sessions.session, caller=STRANGER, session_id=session.id)
    with pytest.raises(sessions.SessionNotFound) as of_nobody:
        await store.read(sessions.session, caller=STRANGER, session_id="ses_none")

    assert of_another.value.detail == of_nobody.value.detail


async def test_a_seller_sees_its_own_orders_and_stubs_for_the_rest(
    store: Store, session: SessionView
):
    await store.write(sessions.join, session_id=session.id, agent_id="seller", order_id="ord_1")
    await store.write(
        sessions.append,
        session_id=session.id,
        events=[chunk(0), chunk(0, "ord_of_a_rival"), NewEvent("decision.made", "buyer", {})],
    )

    events = await read_all(store, SELLER, session.id)

    assert [event.get("withheld", False) for event in events] == [True, False, True, True]
    assert set(events[0]) == {"offset", "withheld", "hash"}
    assert verify_chain(read_entry(event) for event in events) == events[-1]["hash"]


async def test_a_seller_learns_nothing_of_the_buyer_from_the_session_itself(
    store: Store, session: SessionView
):
    for order_id, seller in (("ord_1", "seller"), ("ord_2", "rival")):
        await store.write(sessions.join, session_id=session.id, agent_id=seller, order_id=order_id)

    view = await store.read(sessions.session, caller=SELLER, session_id=session.id)

    assert view.need == ""
    assert view.labels == {}
    assert view.orders == ["ord_1"]


async def test_nobody_writes_what_only_the_market_can_know(store: Store, session: SessionView):
    claim = WriteEvents(events=[WriteEvent(kind="order.settled", body={})])

    with pytest.raises(sessions.KindReserved):
        await store.write(sessions.write, caller=BUYER, session_id=session.id, events=claim)


async def test_a_decision_to_leave_needs_a_reason(store: Store, session: SessionView):
    decision = WriteEvents(
        events=[WriteEvent(kind="decision.made", body={"stage": "finding", "outcome": "leave"})]
    )

    with pytest.raises(sessions.BadEvent):
        await store.write(sessions.write, caller=BUYER, session_id=session.id, events=decision)


async def test_a_producers_repeat_appends_nothing_again(store: Store, session: SessionView):
    producer = Producer("worker", 0, 0)
    first = await store.write(
        sessions.write, caller=BUYER, session_id=session.id, events=note("a"), producer=producer
    )

    again = await store.write(
        sessions.write, caller=BUYER, session_id=session.id, events=note("a"), producer=producer
    )

    assert (again.first_offset, again.repeated) == (first.first_offset, True)
    assert len(await read_all(store, BUYER, session.id)) == 2


async def test_a_producer_may_not_skip_or_come_back_from_an_older_life(
    store: Store, session: SessionView
):
    async def write_as(producer: Producer) -> None:
        await store.write(
            sessions.write, caller=BUYER, session_id=session.id, events=note("x"), producer=producer
        )

    await write_as(Producer("worker", 1, 0))
    with pytest.raises(ProducerGap) as gap:
        await write_as(Producer("worker", 1, 2))
    with pytest.raises(ProducerFenced):
        await write_as(Producer("worker", 0, 1))

    assert gap.value.facts == {"expected_seq": 1, "received_seq": 2}


async def test_a_producers_repeat_is_answered_though_the_session_has_closed_meanwhile(
    store: Store, session: SessionView
):
    async def write(number: int) -> Appended:
        return await store.write(
            sessions.write,
            caller=BUYER,
            session_id=session.id,
            events=note("mine"),
            producer=Producer("worker", 0, number),
        )

    first = await write(0)
    await store.write(sessions.close, caller=PRINCIPAL, session_id=session.id, reason="done")

    again = await write(0)

    assert (again.next_offset, again.repeated) == (first.next_offset, True)
    with pytest.raises(sessions.SessionClosed):
        await write(1)


async def test_a_seller_cannot_fill_a_log_so_that_the_buyer_writes_no_more(
    store: Store, session: SessionView, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writing, "MAX_EVENTS", 4)
    monkeypatch.setattr(writing, "MAX_EVENTS_OF_SELLERS", 2)
    await store.write(sessions.join, session_id=session.id, agent_id="seller", order_id="ord_1")
    mine = {"caller": SELLER, "session_id": session.id, "events": note("more", "ord_1")}
    await store.write(sessions.write, **mine)

    with pytest.raises(sessions.SessionFull):
        await store.write(sessions.write, **mine)

    for _ in range(2):
        await store.write(sessions.write, **{**mine, "caller": BUYER})
    with pytest.raises(sessions.SessionFull):
        await store.write(sessions.write, **{**mine, "caller": BUYER})


async def test_a_closed_session_takes_no_more_and_closing_again_is_harmless(
    store: Store, session: SessionView
):
    await store.write(sessions.close, caller=BUYER, session_id=session.id, reason="done")

    again = await store.write(sessions.close, caller=BUYER, session_id=session.id, reason="again")

    with pytest.raises(sessions.SessionClosed):
        await store.write(sessions.write, caller=BUYER, session_id=session.id, events=note("late"))
    assert again.state == "closed"
    assert again.next_offset == 2


async def test_a_follower_gets_history_and_then_what_happens_each_once(
    store: Store, session: SessionView
):
    seen: list[int] = []
    live = asyncio.Event()

    async def follow() -> None:
        async for reading in sessions.follow(
            store, caller=BUYER, session_id=session.id, after=-1, patience_seconds=0.05
        ):
            seen.extend(event.offset for event in reading.events)
            live.set()

    await store.write(sessions.append, session_id=session.id, events=[chunk(n) for n in range(300)])
    reader = asyncio.create_task(follow())
    await asyncio.wait_for(live.wait(), 5)
    for number in range(50):
        await store.write(sessions.append, session_id=session.id, events=[chunk(number)])
    await store.write(sessions.close, caller=BUYER, session_id=session.id, reason="done")
    await asyncio.wait_for(reader, 10)

    assert seen == list(range(352))


@pytest.mark.parametrize("given", ["order.placed", "approval.granted"])
async def test_a_seller_that_follows_sees_an_order_that_it_is_given_meanwhile(
    store: Store, session: SessionView, given: str
):
    def give(uow: UnitOfWork) -> None:
        sessions.join(uow, session_id=session.id, agent_id="seller", order_id="ord_new")
        sessions.append(
            uow,
            session_id=session.id,
            events=[
                NewEvent(given, "buyer", {}, "ord_new"),
                NewEvent("order.started", "seller", {}, "ord_new"),
            ],
        )

    await store.write(sessions.join, session_id=session.id, agent_id="seller", order_id="ord_old")
    reader = sessions.follow(
        store, caller=SELLER, session_id=session.id, after=-1, patience_seconds=0.05
    )
    feed = Feed(store, SELLER)
    await feed.follow({session.id: -1})
    async with aclosing(reader), aclosing(feed.turns()) as turns:
        before = [*(await anext(reader)).events, *(await anext(turns)).events]
        await store.write(
            sessions.append, session_id=session.id, events=[NewEvent(given, "b", {}, "ord_rivals")]
        )
        await store.write(give)
        after: list[list[Shown]] = [[], []]
        while len(after[0]) < 3:
            after[0] += (await anext(reader)).events
        while len(after[1]) < 3:
            turn = await anext(turns)
            after[1] += turn.events if turn is not None else []

    assert all("withheld" in json.loads(event.json) for event in before)
    for events in after:
        kinds = [json.loads(event.json).get("kind", "withheld") for event in events]
        is_for_seller = given == "order.placed"
        assert kinds == ["withheld", given if is_for_seller else "withheld", "order.started"]


async def test_a_slow_follower_reads_from_the_log_what_memory_did_not_hold(
    store: Store, session: SessionView
):
    long = "x" * 40_000
    reader = sessions.follow(
        store, caller=BUYER, session_id=session.id, after=-1, patience_seconds=0.05
    )
    seen = [event.offset for event in (await anext(reader)).events]

    for _ in range(20):
        await store.write(sessions.write, caller=BUYER, session_id=session.id, events=note(long))
    held = sum(ear._held for ears in store.hub._ears.values() for ear in ears)
    await store.write(sessions.close, caller=BUYER, session_id=session.id, reason="done")
    async for reading in reader:
        seen.extend(event.offset for event in reading.events)

    assert held <= 256 * 1024
    assert seen == list(range(22))


async def test_a_follower_that_leaves_is_forgotten_at_once(store: Store, session: SessionView):
    reader = sessions.follow(store, caller=BUYER, session_id=session.id, after=-1)
    await anext(reader)
    assert store.hub.readers == 1

    await reader.aclose()

    assert (store.hub.readers, store.hub.loops()) == (0, [])


async def test_sessions_are_listed_to_those_who_take_part(store: Store, session: SessionView):
    async def ids(of: Caller, state: str = "any") -> list[str]:
        page = await store.read(sessions.sessions_of, caller=of, state=state, cursor=None, limit=10)
        return [item.id for item in page.items]

    assert await ids(BUYER) == await ids(PRINCIPAL) == await ids(OVERSEER) == [session.id]
    assert await ids(STRANGER) == []
    assert await ids(BUYER, "closed") == []


async def test_a_changed_event_breaks_the_chain_where_it_stands(store: Store, session: SessionView):
    await store.write(sessions.append, session_id=session.id, events=[chunk(n) for n in range(5)])
    events = [read_entry(event) for event in await read_all(store, BUYER, session.id)]

    events[3] = type(events[3])(**{**_members(events[3]), "body": {"index": 99}})

    with pytest.raises(ValueError, match="offset 3"):
        verify_chain(events)


def _members(event: object) -> dict:
    return {name: getattr(event, name) for name in event.__struct_fields__}
