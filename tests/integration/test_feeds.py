"""Feeds: many sessions at once, in fair turns, with one bounded buffer, on both databases."""

import asyncio
import json
from collections import defaultdict
from contextlib import aclosing

import pytest

from market import sessions
from market.base.hub import MAX_BUFFER
from market.base.settings import Settings
from market.base.store import Store
from market.base.streams.gathering import PAGE
from market.protocol.wire import OpenSession
from market.sessions import Feed, FeedTurn
from tests.integration.test_sessions import BUYER, SELLER, STRANGER, chunk, note

LIMIT_SECONDS = 20.0


async def open_sessions(store: Store, count: int) -> list[str]:
    opened = [
        await store.write(
            sessions.open_session,
            buyer_id="buyer",
            principal_id=None,
            request=OpenSession(need=f"need {number}"),
        )
        for number in range(count)
    ]
    return [session.id for session in opened]


async def write(store: Store, session_id: str, text: str = "more") -> None:
    await store.write(sessions.write, caller=BUYER, session_id=session_id, events=note(text))


async def close(store: Store, session_id: str) -> None:
    await store.write(sessions.close, caller=BUYER, session_id=session_id, reason="done")


async def until_all_end(feed: Feed) -> dict[str, list[int]]:
    """Read until every session has ended; return the offsets of each in the order they came."""
    found: dict[str, list[int]] = defaultdict(list)
    async with asyncio.timeout(LIMIT_SECONDS), aclosing(feed.turns()) as turns:
        async for turn in turns:
            if turn is not None:
                found[turn.session_id] += [event.offset for event in turn.events]
            if len(feed) == (turn is not None and turn.is_end):
                break
    return found


async def next_turn(turns: object) -> FeedTurn:
    async with asyncio.timeout(LIMIT_SECONDS):
        while (turn := await anext(turns)) is None:  # type: ignore[call-overload]
            pass
    assert isinstance(turn, FeedTurn)
    return turn


async def test_twenty_sessions_with_writers_at_once_lose_and_double_nothing(store: Store):
    ids = await open_sessions(store, 20)
    feed = Feed(store, BUYER)
    await feed.follow(dict.fromkeys(ids, -1))
    reading = asyncio.create_task(until_all_end(feed))

    async def tell(session_id: str) -> None:
        for number in range(25):
            await write(store, session_id, f"note {number}")
        await close(store, session_id)

    await asyncio.gather(*map(tell, ids))

    assert await reading == {session_id: list(range(27)) for session_id in ids}
    assert store.hub.readers == 0


async def test_a_busy_session_keeps_no_other_from_being_heard(store: Store):
    busy, *quiet = await open_sessions(store, 4)
    for _ in range(20):
        events = [chunk(number) for number in range(100)]
        await store.write(sessions.append, session_id=busy, events=events)
    feed = Feed(store, BUYER)
    await feed.follow(dict.fromkeys([busy, *quiet], -1))

    async with aclosing(feed.turns()) as turns:
        first = [await next_turn(turns) for _ in range(5)]

    assert [turn.session_id for turn in first] == [busy, *quiet, busy]
    assert max(len(turn.events) for turn in first) <= PAGE


async def test_a_reader_that_takes_nothing_holds_a_bounded_buffer_and_loses_nothing(store: Store):
    ids = await open_sessions(store, 3)
    feed = Feed(store, BUYER)
    await feed.follow(dict.fromkeys(ids, 0))
    async with aclosing(feed.turns()) as turns:
        await write(store, ids[0])
        await next_turn(turns)
        for _ in range(60):
            for session_id in ids:
                await write(store, session_id, "x" * 6_000)
        held = feed.held_bytes
        found: dict[str, list[int]] = defaultdict(list)
        while sum(map(len, found.values())) < 180:
            turn = await next_turn(turns)
            found[turn.session_id] += [event.offset for event in turn.events]

    assert 0 < held <= MAX_BUFFER
    assert found == {
        ids[0]: list(range(2, 62)),
        ids[1]: list(range(1, 61)),
        ids[2]: list(range(1, 61)),
    }


async def test_a_seller_sees_in_each_session_what_is_its_own(store: Store):
    mine, other = await open_sessions(store, 2)
    for session_id, order_id in ((mine, "ord_1"), (other, "ord_2")):
        await store.write(
            sessions.join, session_id=session_id, agent_id="seller", order_id=order_id
        )
        await store.write(sessions.append, session_id=session_id, events=[chunk(0, "ord_1")])
        await close(store, session_id)
    feed = Feed(store, SELLER)
    await feed.follow({mine: 0, other: 0})

    seen: dict[str, bool] = {}
    async with aclosing(feed.turns()) as turns:
        for _ in range(2):
            turn = await next_turn(turns)
            seen[turn.session_id] = "withheld" in json.loads(turn.events[0].json)

    assert seen == {mine: False, other: True}


async def test_one_session_that_is_not_the_callers_refuses_them_all(store: Store):
    ids = await open_sessions(store, 2)
    feed = Feed(store, STRANGER)

    with pytest.raises(sessions.SessionNotFound):
        await feed.follow(dict.fromkeys(ids, -1))

    assert len(feed) == 0
    assert store.hub.readers == 0


async def test_a_feed_follows_a_hundred_sessions_and_no_more(store: Store):
    ids = await open_sessions(store, sessions.MAX_FOLLOWED + 1)
    feed = Feed(store, BUYER)
    await feed.follow(dict.fromkeys(ids[:-1], -1))

    with pytest.raises(sessions.FeedFull):
        await feed.follow({ids[-1]: -1})
    await feed.follow({ids[0]: 0})

    assert feed.unfollow(ids[0])
    await feed.follow({ids[-1]: -1})
    for session_id in ids:
        feed.unfollow(session_id)
    assert store.hub.readers == 0


async def test_a_session_that_was_left_is_silent_and_may_come_back(store: Store):
    [session_id] = await open_sessions(store, 1)
    feed = Feed(store, BUYER)
    await feed.follow({session_id: 0})
    async with aclosing(feed.turns()) as turns:
        await write(store, session_id, "one")
        first = await next_turn(turns)
        feed.unfollow(session_id)
        await write(store, session_id, "two")
        silent = await anext(turns)
        await feed.follow({session_id: 0})
        again = await next_turn(turns)

    assert [event.offset for event in first.events] == [1]
    assert not first.is_wanted
    assert silent is None
    assert [event.offset for event in again.events] == [1, 2]


async def test_what_another_worker_writes_is_heard(postgres_settings: Settings):
    here, there = Store.open(postgres_settings), Store.open(postgres_settings)
    try:
        ids = await open_sessions(here, 5)
        feed = Feed(here, BUYER)
        await feed.follow(dict.fromkeys(ids, 0))
        reading = asyncio.create_task(until_all_end(feed))
        for session_id in ids:
            await write(there, session_id)
            await close(there, session_id)

        assert await reading == {session_id: [1, 2] for session_id in ids}
    finally:
        here.close()
        there.close()
