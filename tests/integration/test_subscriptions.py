"""Subscriptions: who follows what, the one live wake of each, and what a crash leaves to do."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import rawstreams
from market.base.caller import Caller
from market.base.clock import ManualClock
from market.base.errors import MarketError
from market.base.settings import Settings
from market.base.store import Store
from market.faces.streams import see_to_wakes
from market.rawstreams import (
    MAX_LINKS,
    MAX_SUBSCRIPTIONS,
    AlreadyClaimed,
    Answer,
    Append,
    Appended,
    BadStreamRequest,
    Claimed,
    Delivery,
    Fenced,
    Fork,
    InvalidOffset,
    Link,
    NewStream,
    NewSubscription,
    SubscriptionAlreadyExists,
    SubscriptionNotFound,
    TokenInvalid,
    TooManySubscriptions,
    Wake,
    linking,
    opened,
)
from market.rawstreams.seals import seal
from tests.factories import enter, race
from tests.workers import Hold, somebody_waits, two_workers

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOOK = "https://hooks.example.com/wake"
LEASE = timedelta(seconds=30)
WAKES = "wakes/pool"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def owner(store: Store) -> Caller:
    return (await enter(store, "watcher", "buyer")).caller


@pytest.fixture
async def stranger(store: Store) -> Caller:
    return (await enter(store, "nosy", "buyer")).caller


async def made(
    store: Store, caller: Caller | None, path: str, *bodies: Any, access: Any = "private"
) -> None:
    """A JSON stream that was made with its first body, if there is one, and appended to."""
    first, *others = [json.dumps(body).encode() for body in bodies] or [b""]
    new = NewStream("application/json", None, None, False, access, None, first)
    await store.write(rawstreams.create, caller=caller, path=path, new=new)
    for body in others:
        await append(store, caller, path, body)


async def append(store: Store, caller: Caller | None, path: str, body: bytes = b"1") -> None:
    request = Append(caller, "application/json", body, None, None, closes=False)
    [outcome] = await store.write(rawstreams.append, path=path, requests=[request])
    assert isinstance(outcome, Appended), outcome


def pull(*paths: str, **changes: Any) -> NewSubscription:
    new = NewSubscription("pull-wake", None, paths, None, WAKES, 30_000, None)
    return new._replace(**changes)


def hook(*paths: str, **changes: Any) -> NewSubscription:
    return NewSubscription("webhook", None, paths, HOOK, None, 30_000, None)._replace(**changes)


async def subscribe(
    store: Store, caller: Caller | None, new: NewSubscription, name: str = "jobs"
) -> bool:
    return (await store.write(rawstreams.subscribe, caller=caller, name=name, new=new)).is_new


async def links(store: Store, caller: Caller | None, name: str = "jobs") -> dict[str, Link]:
    found = await store.read(rawstreams.subscription, caller=caller, name=name)
    return {link.path: link for link in found.links}


async def claim(
    store: Store, caller: Caller | None, worker: str = "one", name: str = "jobs"
) -> Claimed | None:
    return await store.write(rawstreams.claim, caller=caller, name=name, worker=worker)


async def claimed(store: Store, caller: Caller | None, worker: str = "one") -> Claimed:
    wake = await claim(store, caller, worker)
    assert wake is not None
    return wake


def answer(
    store: Store, wake: Claimed | Delivery, *acks: tuple[str, int], **changes: Any
) -> Answer:
    """What the worker says that holds a wake."""
    kind: Any = "pull-wake" if isinstance(wake, Claimed) else "webhook"
    said = Answer(
        "jobs", kind, opened(store.signer, wake.token), wake.wake_id, wake.generation, acks, False
    )
    return said._replace(**changes)


async def done(store: Store, wake: Claimed | Delivery, *acks: tuple[str, int]) -> bool:
    said = answer(store, wake, *acks, is_done=True)
    return await store.write(rawstreams.acknowledge, answer=said)


async def wakes(store: Store, caller: Caller | None, path: str = WAKES) -> list[dict[str, Any]]:
    """The wakes that were written to a stream."""
    stream = await store.read(rawstreams.look_up, caller=caller, path=path)
    part = await store.read(
        rawstreams.read, stream_id=stream.id, after=-1, limit=100, max_bytes=2**20
    )
    return [json.loads(entry.data) for entry in part.entries]


async def deliveries(store: Store) -> list[Delivery]:
    """What a courier would take now."""
    await see_to_wakes(store)
    agenda = await store.read(rawstreams.agenda)
    taken = [
        await store.write(rawstreams.take, subscription_id=due.subscription_id)
        for due in agenda.due
    ]
    return [delivery for delivery in taken if delivery is not None]


async def delivered(store: Store, delivery: Delivery, **changes: Any) -> None:
    await store.write(
        rawstreams.note_delivered,
        **{
            "subscription_id": delivery.subscription_id,
            "generation": delivery.generation,
            "is_done": False,
            "is_slow": False,
            **changes,
        },
    )


async def failed(store: Store, delivery: Delivery, chance: float = 0.5) -> None:
    await store.write(
        rawstreams.note_failed,
        subscription_id=delivery.subscription_id,
        generation=delivery.generation,
        chance=chance,
    )


async def test_the_same_subscription_again_is_the_same_and_another_form_is_refused(store, owner):
    first = await subscribe(store, owner, pull("a", "b"))
    again = await subscribe(store, owner, pull("b", "a"))

    assert (first, again) == (True, False)
    with pytest.raises(SubscriptionAlreadyExists):
        await subscribe(store, owner, pull("a", "b", lease_ms=1_000))


async def test_new_links_begin_at_the_tail(store, owner):
    await made(store, owner, "old/a", 1, 2, 3)

    await subscribe(store, owner, pull("nowhere", pattern="old/*"))

    assert await links(store, owner) == {
        "old/a": Link("old/a", is_explicit=False, acked=3, next_offset=3),
        "nowhere": Link("nowhere", is_explicit=True, acked=0, next_offset=0),
    }


async def test_a_stream_that_is_made_later_is_followed_from_its_first_entry(store, owner):
    await subscribe(store, owner, pull("named", pattern="events/**"))

    await made(store, owner, "events/deep/down", 1)
    await made(store, owner, "named", 1, 2)
    await made(store, owner, "other", 1)

    found = await links(store, owner)
    assert {path: (link.acked, link.next_offset) for path, link in found.items()} == {
        "events/deep/down": (0, 1),
        "named": (0, 2),
    }


async def test_a_fork_is_followed_from_where_it_branched_off(store, owner):
    await made(store, owner, "source", 1, 2)
    await subscribe(store, owner, pull(pattern="forks/*"))

    fork = NewStream(None, None, None, False, "private", Fork("source", None, 0), b"")
    await store.write(rawstreams.create, caller=owner, path="forks/a", new=fork)
    quiet = (await links(store, owner))["forks/a"]
    await append(store, owner, "forks/a")

    assert (quiet.acked, quiet.is_pending) == (2, False)
    assert (await links(store, owner))["forks/a"].is_pending


async def test_an_append_is_told_to_the_stream_of_wakes_once_until_somebody_is_done(store, owner):
    await made(store, owner, WAKES)
    await made(store, owner, "events/a")
    await subscribe(store, owner, pull(pattern="events/*"))

    for _ in range(3):
        await append(store, owner, "events/a")
        await see_to_wakes(store)

    [wake] = await wakes(store, owner)
    assert wake == {
        "type": "wake",
        "subscription_id": "jobs",
        "stream": "events/a",
        "generation": 1,
        "ts": int(NOON.timestamp() * 1_000),
    }


async def test_a_worker_claims_acknowledges_and_is_done(store, owner):
    await made(store, owner, WAKES)
    await made(store, owner, "events/a")
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")
    await see_to_wakes(store)
    wake = await claimed(store, owner)

    has_next = await done(store, wake, ("events/a", 1))

    assert not has_next
    assert wake.generation == 1
    assert (await links(store, owner))["events/a"].acked == 1
    assert await claim(store, owner) is None
    with pytest.raises(Fenced):
        await done(store, wake, ("events/a", 1))


async def test_what_came_in_while_a_worker_was_busy_begins_the_next_wake(store, owner):
    await made(store, owner, WAKES)
    await made(store, owner, "events/a")
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")
    wake = await claimed(store, owner)
    await append(store, owner, "events/a")
    await see_to_wakes(store)

    has_next = await done(store, wake, ("events/a", 1))

    assert has_next
    assert [told["generation"] for told in await wakes(store, owner)] == [2]
    assert (await claimed(store, owner, "two")).generation == 2


async def test_of_racing_workers_one_gets_the_wake(store, owner):
    await made(store, owner, "events/a")
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")

    refusals = await race(8, lambda: claim(store, owner), collect=AlreadyClaimed)

    assert len(refusals) == 7
    assert {refusal.facts["current_holder"] for refusal in refusals} == {"one"}


async def test_of_two_workers_processes_one_begins_the_wake(postgres_settings: Settings):
    with two_workers(postgres_settings, clock=ManualClock(NOON)) as (left, right):
        owner = (await enter(left, "watcher", "buyer")).caller
        await made(left, owner, WAKES)
        await made(left, owner, "events/a")
        await subscribe(left, owner, pull("events/a"))
        await append(left, owner, "events/a")

        await see_to_wakes(left)
        await see_to_wakes(right)

        assert len(await wakes(right, owner)) == 1
        await claimed(right, owner)
        with pytest.raises(AlreadyClaimed):
            await claim(left, owner)


async def test_an_append_that_commits_while_the_mark_is_removed_is_not_forgotten(
    postgres_settings: Settings,
):
    with two_workers(postgres_settings) as (left, right):
        owner = (await enter(left, "watcher", "buyer")).caller
        await made(left, owner, "events/a")
        await subscribe(left, owner, pull("events/a"))
        wake = await _woken(left, owner)
        await append(left, owner, "events/a")
        hold = Hold(rawstreams.append)
        request = Append(owner, "application/json", b"2", None, None, closes=False)
        late = asyncio.create_task(left.write(hold, path="events/a", requests=[request]))
        await hold.has_worked()
        seeing = asyncio.create_task(see_to_wakes(right))
        await somebody_waits(postgres_settings)
        hold.let_go()
        await late
        await seeing

        await done(left, wake, ("events/a", 3))
        await see_to_wakes(right)

        found = await links(left, owner)
        assert not found["events/a"].is_pending


async def test_an_append_that_commits_while_a_wake_ends_begins_the_next(
    postgres_settings: Settings,
):
    with two_workers(postgres_settings) as (left, right):
        owner = (await enter(left, "watcher", "buyer")).caller
        await made(left, owner, WAKES)
        await made(left, owner, "events/a")
        await subscribe(left, owner, pull("events/a"))
        wake = await _woken(left, owner)
        hold = Hold(rawstreams.acknowledge)
        said = answer(left, wake, ("events/a", 1), is_done=True)
        ending = asyncio.create_task(left.write(hold, answer=said))
        await hold.has_worked()
        await append(right, owner, "events/a")
        await see_to_wakes(right)
        hold.let_go()

        has_next = await ending
        await see_to_wakes(right)

        assert not has_next
        assert [told["generation"] for told in await wakes(left, owner)] == [2]


async def test_whatever_workers_append_at_once_is_told_and_acknowledged(
    postgres_settings: Settings,
):
    with two_workers(postgres_settings) as (left, right):
        owner = (await enter(left, "watcher", "buyer")).caller
        await made(left, owner, WAKES)
        await made(left, owner, "events/a")
        await subscribe(left, owner, pull("events/a"))

        async def work() -> list[int]:
            """Claim when a wake is told of, never otherwise."""
            generations: list[int] = []
            while (await links(left, owner))["events/a"].acked < 40:
                await asyncio.gather(see_to_wakes(left), see_to_wakes(right))
                if len(await wakes(right, owner)) > len(generations):
                    wake = await claimed(right, owner)
                    generations.append(wake.generation)
                    await done(left, wake, ("events/a", wake.links[0].next_offset))
            return generations

        async with asyncio.timeout(30):
            generations, *_ = await asyncio.gather(
                work(), *(append(store, owner, "events/a") for store in (left, right) * 20)
            )

        told = [wake["generation"] for wake in await wakes(left, owner)]
        assert told == generations == list(range(1, len(told) + 1))


async def test_a_subscription_and_a_stream_that_are_made_at_once_find_each_other(
    postgres_settings: Settings,
):
    with two_workers(postgres_settings) as (left, right):
        owner = (await enter(left, "watcher", "buyer")).caller
        hold = Hold(rawstreams.subscribe)
        new = pull("named", pattern="events/*")
        subscribing = asyncio.create_task(left.write(hold, caller=owner, name="jobs", new=new))
        await hold.has_worked()
        making = [
            asyncio.create_task(made(right, owner, path, 1)) for path in ("events/a", "named")
        ]
        await somebody_waits(postgres_settings)
        hold.let_go()
        await subscribing
        for task in making:
            await task

        found = await links(left, owner)
        assert {path: link.is_pending for path, link in found.items()} == {
            "events/a": True,
            "named": True,
        }


async def test_a_silent_worker_loses_its_wake_to_the_next(store, owner, clock):
    await made(store, owner, "events/a", 1)
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")
    first = await claimed(store, owner)

    clock.advance(LEASE - timedelta(milliseconds=1))
    with pytest.raises(AlreadyClaimed):
        await claim(store, owner, "two")
    clock.advance(timedelta(milliseconds=1))
    await see_to_wakes(store)

    second = await claimed(store, owner, "two")
    assert (first.generation, second.generation) == (1, 2)
    with pytest.raises(Fenced):
        await store.write(rawstreams.acknowledge, answer=answer(store, first, ("events/a", 2)))
    assert (await links(store, owner))["events/a"].acked == 1


async def test_a_lease_that_nobody_has_ended_yet_is_over_all_the_same(store, owner, clock):
    await made(store, owner, "events/a", 1)
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")
    first = await claimed(store, owner)

    clock.advance(LEASE)

    with pytest.raises(Fenced):
        await done(store, first)
    assert (await claimed(store, owner, "two")).generation == 2


async def test_an_acknowledgement_is_a_sign_of_life(store, owner, clock):
    await made(store, owner, "events/a", 1)
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")
    wake = await claimed(store, owner)

    for _ in range(3):
        clock.advance(LEASE - timedelta(seconds=1))
        await store.write(rawstreams.acknowledge, answer=answer(store, wake))

    assert not await done(store, wake, ("events/a", 2))


async def test_a_released_wake_goes_to_another_worker(store, owner):
    await made(store, owner, WAKES)
    await made(store, owner, "events/a", 1)
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")
    wake = await claimed(store, owner)

    await store.write(rawstreams.release, answer=answer(store, wake))

    assert [told["generation"] for told in await wakes(store, owner)] == [2]
    assert (await claimed(store, owner, "two")).generation == 2
    with pytest.raises(Fenced):
        await store.write(rawstreams.release, answer=answer(store, wake))


@pytest.mark.parametrize(
    "acks", [[("events/a", 0)], [("events/a", 3)], [("unknown", 1)], [("events/a", 2), ("b", 1)]]
)
async def test_only_what_lies_between_acknowledged_and_tail_is_acknowledged(store, owner, acks):
    await made(store, owner, "events/a", 1)
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")
    wake = await claimed(store, owner)

    with pytest.raises(InvalidOffset):
        await done(store, wake, *acks)

    assert (await links(store, owner))["events/a"].acked == 1
    assert not await done(store, wake, ("events/a", 2))


async def test_a_worker_with_the_wrong_words_for_its_wake_is_fenced(store, owner):
    await made(store, owner, "events/a", 1)
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")
    wake = await claimed(store, owner)
    said = answer(store, wake, is_done=True)

    for changes in ({"wake_id": "wak_other"}, {"wake_id": None}, {"generation": 2}):
        with pytest.raises(Fenced):
            await store.write(rawstreams.acknowledge, answer=said._replace(**changes))
    with pytest.raises(TokenInvalid):
        await store.write(rawstreams.acknowledge, answer=said._replace(name="other"))
    with pytest.raises(BadStreamRequest):
        await store.write(rawstreams.acknowledge, answer=said._replace(kind="webhook"))
    gone = said._replace(wake=Wake("sub_gone", 1))
    with pytest.raises(SubscriptionNotFound):
        await store.write(rawstreams.acknowledge, answer=gone)


def test_a_token_that_the_market_did_not_make_opens_nothing(store: Store):
    good = seal(store.signer, Wake("sub_a", 7))

    assert opened(store.signer, good) == Wake("sub_a", 7)
    for bad in ("", ".", "a.b.c", good[:-4] + "AAAA", good.replace(".7.", ".8."), "x" * 999):
        with pytest.raises(TokenInvalid):
            opened(store.signer, bad)


async def test_a_wake_outlives_a_crash_between_append_and_delivery(
    settings: Settings, clock: ManualClock
):
    first = Store.open(settings, clock=clock)
    owner = (await enter(first, "watcher", "buyer")).caller
    await made(first, owner, "events/a")
    await subscribe(first, owner, hook("events/a"))
    await append(first, owner, "events/a")
    first.close()

    second = Store.open(settings, clock=clock)
    [delivery] = await deliveries(second)
    second.close()
    third = Store.open(settings, clock=clock)
    none_yet = await deliveries(third)
    clock.advance(timedelta(seconds=15))
    [again] = await deliveries(third)

    assert none_yet == []
    assert (again.generation, again.token) == (1, delivery.token)
    assert not await done(third, again, ("events/a", 1))
    assert await deliveries(third) == []
    third.close()


async def test_a_webhook_that_is_done_at_once_has_acknowledged_what_it_was_told(store, owner):
    await made(store, owner, "events/a")
    await subscribe(store, owner, hook("events/a"))
    await append(store, owner, "events/a")
    [delivery] = await deliveries(store)
    await append(store, owner, "events/a")

    await delivered(store, delivery, is_done=True)

    assert [link.next_offset for link in delivery.links] == [1]
    assert (await links(store, owner))["events/a"].acked == 1
    [following] = await deliveries(store)
    assert following.generation == 2


async def test_a_webhook_that_took_its_wake_and_fell_silent_is_told_again(store, owner, clock):
    await made(store, owner, "events/a")
    await subscribe(store, owner, hook("events/a"))
    await append(store, owner, "events/a")
    [delivery] = await deliveries(store)
    await delivered(store, delivery)

    clock.advance(LEASE)
    [again] = await deliveries(store)

    assert again.generation == 2
    with pytest.raises(Fenced):
        await done(store, delivery, ("events/a", 1))


async def test_a_failed_delivery_is_tried_again_later_and_later(store, owner, clock):
    await made(store, owner, "events/a")
    await subscribe(store, owner, hook("events/a"))
    await append(store, owner, "events/a")

    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        [delivery] = await deliveries(store)
        await failed(store, delivery)
        clock.advance(timedelta(seconds=seconds) - timedelta(milliseconds=1))
        assert await deliveries(store) == []
        clock.advance(timedelta(milliseconds=1))

    found = await store.read(rawstreams.subscription, caller=owner, name="jobs")
    [delivery] = await deliveries(store)
    assert (delivery.generation, found.is_failing) == (1, True)
    await delivered(store, delivery, is_done=True)
    healed = await store.read(rawstreams.subscription, caller=owner, name="jobs")
    assert not healed.is_failing


async def test_a_callback_that_overtakes_a_lost_answer_counts(store, owner, clock):
    await made(store, owner, "events/a")
    await subscribe(store, owner, hook("events/a"))
    await append(store, owner, "events/a")
    [delivery] = await deliveries(store)
    await store.write(rawstreams.acknowledge, answer=answer(store, delivery))

    await failed(store, delivery)
    clock.advance(timedelta(seconds=20))

    assert await deliveries(store) == []
    assert not await done(store, delivery, ("events/a", 1))


async def test_what_is_told_too_late_of_a_delivery_changes_nothing(store, owner):
    await made(store, owner, "events/a")
    await subscribe(store, owner, hook("events/a"))
    await append(store, owner, "events/a")
    [delivery] = await deliveries(store)
    await done(store, delivery, ("events/a", 1))
    await append(store, owner, "events/a")
    [following] = await deliveries(store)

    await failed(store, delivery)
    await delivered(store, delivery, is_done=True)

    assert (await links(store, owner))["events/a"].acked == 1
    assert not await done(store, following, ("events/a", 2))


async def test_one_owners_hooks_leave_room_for_anothers(store, owner, stranger):
    for path, caller in (("mine", owner), ("theirs", stranger)):
        await made(store, caller, path)
        for number in range(9):
            await subscribe(store, caller, hook(path), f"jobs-{number}")
    await append(store, owner, "mine")
    await append(store, stranger, "theirs")
    await see_to_wakes(store)

    agenda = await store.read(rawstreams.agenda)

    owners = [due.owner_id for due in agenda.due]
    assert (owners.count(owner.agent_id), owners.count(stranger.agent_id)) == (4, 4)


async def test_more_subscribers_than_one_unit_of_work_wakes_are_all_woken(store, owner):
    await made(store, owner, WAKES)
    await made(store, owner, "events/a")
    for number in range(45):
        await subscribe(store, owner, pull("events/a"), f"jobs-{number}")
    await append(store, owner, "events/a")

    await see_to_wakes(store)

    told = [wake["subscription_id"] for wake in await wakes(store, owner)]
    assert sorted(told) == sorted(f"jobs-{number}" for number in range(45))


async def test_another_agents_subscription_is_not_there(store, owner, stranger):
    await made(store, owner, "events/a")
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")

    for verb, members in (
        (rawstreams.claim, {"worker": "two"}),
        (rawstreams.follow_also, {"paths": ("b",)}),
        (rawstreams.unfollow, {"path": "events/a"}),
    ):
        with pytest.raises(SubscriptionNotFound):
            await store.write(verb, caller=stranger, name="jobs", **members)
    await store.write(rawstreams.unsubscribe, caller=stranger, name="jobs")
    assert await subscribe(store, stranger, pull("events/a"))
    assert (await links(store, owner))["events/a"].is_pending


async def test_what_an_agent_may_not_read_wakes_nobody_and_tells_nothing(store, owner, stranger):
    await made(store, owner, "private", 1)
    await made(store, owner, "shared", 1, access="readable")
    await subscribe(store, stranger, pull("private", "shared", "later", pattern="**"))
    await made(store, owner, "later", 1)
    await append(store, owner, "private")
    await append(store, owner, "shared")

    found = await links(store, stranger)

    assert {path: (link.acked, link.next_offset) for path, link in found.items()} == {
        "private": (0, 0),
        "shared": (1, 2),
        "later": (0, 0),
    }


async def test_a_pattern_covers_no_stranger(store, owner, stranger):
    await subscribe(store, stranger, pull(pattern="**"))
    await made(store, owner, "flood/1", 1, access="open")

    assert await links(store, stranger) == {}


async def test_streams_are_followed_and_left_by_their_paths(store, owner):
    await made(store, owner, "events/a", 1)
    await subscribe(store, owner, pull(pattern="events/*"))

    await store.write(
        rawstreams.follow_also, caller=owner, name="jobs", paths=("events/a", "other")
    )
    followed = await links(store, owner)
    for path in ("events/a", "other", "never"):
        await store.write(rawstreams.unfollow, caller=owner, name="jobs", path=path)

    assert {path: link.is_explicit for path, link in followed.items()} == {
        "events/a": True,
        "other": True,
    }
    left = await links(store, owner)
    assert {path: link.is_explicit for path, link in left.items()} == {"events/a": False}


async def test_a_stream_that_goes_takes_its_links_along(store, owner):
    await made(store, owner, WAKES)
    await made(store, owner, "events/a", 1)
    await made(store, owner, "events/b", 1)
    await subscribe(store, owner, pull("events/a", "events/b"))
    await append(store, owner, "events/a")
    await see_to_wakes(store)

    await store.write(rawstreams.remove, caller=owner, path="events/a")

    assert set(await links(store, owner)) == {"events/b"}
    assert await claim(store, owner) is None
    await append(store, owner, "events/b")
    await see_to_wakes(store)
    assert [told["stream"] for told in await wakes(store, owner)] == ["events/a", "events/b"]


async def test_an_ended_subscription_fences_its_worker_and_wakes_nobody(store, owner):
    await made(store, owner, WAKES)
    await made(store, owner, "events/a", 1)
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")
    wake = await claimed(store, owner)

    for _ in range(2):
        await store.write(rawstreams.unsubscribe, caller=owner, name="jobs")
    await append(store, owner, "events/a")
    await see_to_wakes(store)

    with pytest.raises(SubscriptionNotFound):
        await done(store, wake)
    assert await wakes(store, owner) == []
    assert await see_to_wakes(store) == 0


async def test_a_stream_that_nobody_follows_any_more_leaves_no_more_marks(store, owner):
    await made(store, owner, "events/a", 1)
    await subscribe(store, owner, pull("events/a"))
    await store.write(rawstreams.unsubscribe, caller=owner, name="jobs")
    await append(store, owner, "events/a")
    noticed = await see_to_wakes(store)

    await append(store, owner, "events/a")

    assert (noticed, await see_to_wakes(store)) == (1, 0)


async def test_a_subscription_does_not_wake_itself(store, owner):
    await made(store, owner, WAKES)
    await subscribe(store, owner, pull(pattern="**"))
    await made(store, owner, "events/a", 1)
    await see_to_wakes(store)

    wake = await claimed(store, owner)

    assert [link.path for link in wake.links] == ["events/a"]
    assert not await done(store, wake, ("events/a", 1))


async def test_a_stream_of_wakes_that_is_not_the_owners_is_left_alone(store, owner, stranger):
    await made(store, stranger, WAKES)
    await made(store, owner, "events/a")
    await subscribe(store, owner, pull("events/a"))
    await append(store, owner, "events/a")
    await see_to_wakes(store)

    assert await wakes(store, stranger) == []
    assert (await claimed(store, owner)).generation == 1


async def test_a_webhook_has_nothing_to_claim(store, owner):
    await subscribe(store, owner, hook("events/a"))

    with pytest.raises(BadStreamRequest):
        await claim(store, owner)


async def test_an_owner_has_so_many_subscriptions_and_no_more(store, owner):
    for number in range(MAX_SUBSCRIPTIONS):
        await subscribe(store, owner, pull("a"), f"jobs-{number}")

    with pytest.raises(TooManySubscriptions):
        await subscribe(store, owner, pull("a"), "one more")

    assert not await subscribe(store, owner, pull("a"), "jobs-0")


async def test_a_subscription_follows_so_many_streams_and_no_more(store, owner):
    paths = tuple(f"streams/{number}" for number in range(MAX_LINKS))
    await subscribe(store, owner, pull(*paths, pattern="later/*"))

    with pytest.raises(TooManySubscriptions):
        await store.write(rawstreams.follow_also, caller=owner, name="jobs", paths=("more",))
    await made(store, owner, "later/1", 1)

    assert set(await links(store, owner)) == set(paths)


async def test_a_pattern_that_matches_too_much_is_refused(store, owner, monkeypatch):
    monkeypatch.setattr(linking, "MAX_LINKS", 2)
    for number in range(3):
        await made(store, owner, f"a_b/{number}")
    await made(store, owner, "aXb/3")

    with pytest.raises(TooManySubscriptions):
        await subscribe(store, owner, pull(pattern="a_b/*"))

    assert await subscribe(store, owner, pull(pattern="aXb/**"))
    assert set(await links(store, owner)) == {"aXb/3"}


async def test_a_refused_subscription_leaves_nothing_behind(store, owner):
    paths = tuple(f"streams/{number}" for number in range(MAX_LINKS + 1))

    with pytest.raises(MarketError):
        await subscribe(store, owner, pull(*paths))

    assert await subscribe(store, owner, pull(*paths[:3]))


async def _woken(store: Store, owner: Caller) -> Claimed:
    await append(store, owner, "events/a")
    return await claimed(store, owner)
