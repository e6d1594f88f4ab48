"""Presence: who is in a session, what of it is logged, who sees it, and that it decides nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import orders, sessions
from market.base.caller import Delegation
from market.base.clock import ManualClock
from market.base.errors import InsufficientScope
from market.protocol.wire import OpenSession, PresenceView, ShowPresence
from market.sessions.presence import (
    MAX_DEVICES,
    MAX_DEVICES_OF_SELLER,
    MAX_DEVICES_OF_SELLERS,
)
from tests.factories import Party, Town, enter, log_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def session_id(town: Town) -> str:
    return (await town.place()).session_id


async def be(
    party: Party, session_id: str, status: str, device: str = "laptop", order_id: str | None = None
) -> PresenceView:
    return await party.store.write(
        sessions.be_present,
        caller=party.caller,
        session_id=session_id,
        request=ShowPresence(status=status, device=device, order_id=order_id),
    )


async def there(party: Party, session_id: str) -> list[tuple[str, str]]:
    present = await party.store.read(sessions.present, caller=party.caller, session_id=session_id)
    return [(view.agent_id, view.device) for view in present]


async def told(party: Party, session_id: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (event["kind"], {**event["body"], "by": event["actor_id"]})
        for event in await log_of(party, session_id)
        if event.get("kind", "").startswith("presence.")
    ]


async def test_joining_changing_and_leaving_are_events_and_a_heartbeat_is_none(
    town: Town, session_id: str, clock: ManualClock
):
    first = await be(town.buyer, session_id, "idle")
    clock.advance(timedelta(seconds=10))
    again = await be(town.buyer, session_id, "idle")
    await be(town.buyer, session_id, "thinking")
    await be(town.buyer, session_id, "left")
    await be(town.buyer, session_id, "left")

    who = {"agent_id": town.buyer.id, "device": "laptop", "by": town.buyer.id}
    assert await told(town.buyer, session_id) == [
        ("presence.joined", {**who, "status": "idle"}),
        ("presence.changed", {**who, "status": "thinking"}),
        ("presence.left", {**who, "reason": "left"}),
    ]
    assert first.lost_at == "2026-11-22T12:00:30.000000Z"
    assert (again.joined_at, again.lost_at) == (first.joined_at, "2026-11-22T12:00:40.000000Z")
    assert await there(town.buyer, session_id) == []


async def test_who_falls_silent_has_left_and_nothing_else_changes(
    town: Town, session_id: str, clock: ManualClock
):
    await be(town.buyer, session_id, "idle", "phone")
    clock.advance(timedelta(seconds=20))
    await be(town.buyer, session_id, "idle", "laptop")
    clock.advance(timedelta(seconds=10))

    assert await town.store.write(sessions.sweep_presence) == 1
    assert await town.store.write(sessions.sweep_presence) == 0

    lost = (await told(town.buyer, session_id))[-1]
    who = {"agent_id": town.buyer.id, "device": "phone"}
    assert lost == ("presence.left", {**who, "reason": "lost", "by": "market"})
    assert await there(town.buyer, session_id) == [(town.buyer.id, "laptop")]
    [order] = (
        await town.store.read(
            orders.orders_of,
            caller=town.buyer.caller,
            state="",
            session_id=session_id,
            cursor=None,
            limit=9,
        )
    ).items
    assert (order.state, order.is_paused) == ("placed", False)


async def test_one_second_before_its_time_a_device_is_still_there(
    town: Town, session_id: str, clock: ManualClock
):
    await be(town.buyer, session_id, "idle")
    clock.advance(timedelta(seconds=29))

    assert await town.store.write(sessions.sweep_presence) == 0


async def test_who_was_lost_joins_again(town: Town, session_id: str, clock: ManualClock):
    await be(town.buyer, session_id, "idle")
    clock.advance(timedelta(seconds=31))
    await town.store.write(sessions.sweep_presence)

    await be(town.buyer, session_id, "idle")

    kinds = [kind for kind, _ in await told(town.buyer, session_id)]
    assert kinds == ["presence.joined", "presence.left", "presence.joined"]


async def test_a_seller_is_present_for_its_order_and_does_not_see_the_buyers_side(
    town: Town, session_id: str, clock: ManualClock
):
    await be(town.buyer, session_id, "thinking")
    clock.advance(timedelta(seconds=1))
    await be(town.seller, session_id, "streaming", "worker-1")

    seller, buyer = town.seller.id, town.buyer.id
    assert await there(town.seller, session_id) == [(seller, "worker-1")]
    assert await there(town.buyer, session_id) == [(buyer, "laptop"), (seller, "worker-1")]
    assert [kind for kind, _ in await told(town.seller, session_id)] == ["presence.joined"]
    assert len(await told(town.buyer, session_id)) == 2


async def test_a_seller_does_not_see_a_rivals_presence(town: Town, session_id: str):
    rival = await enter(town.store, "rival", "seller")
    await town.store.write(
        sessions.join, session_id=session_id, agent_id=rival.id, order_id="ord_of_the_rival"
    )
    await be(rival, session_id, "thinking")

    assert await there(town.seller, session_id) == []
    assert await told(town.seller, session_id) == []


async def test_a_seller_with_several_orders_says_for_which_it_is_present(town: Town):
    session = await town.store.write(
        sessions.open_session,
        buyer_id=town.buyer.id,
        principal_id=None,
        request=OpenSession(need="pages"),
    )
    first = await town.place(session_id=session.id)
    second = await town.place(session_id=session.id)

    with pytest.raises(sessions.OrderNeeded) as refusal:
        await be(town.seller, session.id, "idle")
    with pytest.raises(sessions.OrderNeeded):
        await be(town.seller, session.id, "idle", order_id="ord_of_nobody")
    await be(town.seller, session.id, "idle", order_id=first.id)
    await be(town.seller, session.id, "idle", order_id=second.id)
    await be(town.seller, session.id, "left")

    assert refusal.value.facts == {"orders": sorted([first.id, second.id])}
    kinds = [kind for kind, _ in await told(town.seller, session.id)]
    assert kinds == ["presence.joined", "presence.left", "presence.joined", "presence.left"]


async def test_the_buyers_side_is_present_for_the_whole_session(town: Town, session_id: str):
    with pytest.raises(sessions.BadEvent):
        await be(town.buyer, session_id, "idle", order_id="ord_1")


async def test_a_stranger_is_not_present_and_cannot_look(town: Town, session_id: str):
    stranger = await enter(town.store, "stranger", "buyer")

    with pytest.raises(sessions.SessionNotFound):
        await be(stranger, session_id, "idle")
    with pytest.raises(sessions.SessionNotFound):
        await there(stranger, session_id)


async def test_a_token_that_only_reads_writes_no_presence(town: Town, session_id: str):
    reader = town.buyer._replace(caller=town.buyer.caller._replace(scopes=frozenset({"read"})))

    with pytest.raises(InsufficientScope):
        await be(reader, session_id, "idle")


async def test_nobody_is_present_in_a_closed_session(town: Town, clock: ManualClock):
    order = await town.settled()
    await be(town.buyer, order.session_id, "idle")
    closed = await town.store.write(
        orders.close_session, caller=town.buyer.caller, session_id=order.session_id, reason="done"
    )

    with pytest.raises(sessions.SessionClosed):
        await be(town.buyer, order.session_id, "idle")
    with pytest.raises(sessions.SessionClosed):
        await be(town.buyer, order.session_id, "thinking")
    assert await there(town.buyer, order.session_id) == []
    clock.advance(timedelta(seconds=31))
    assert await town.store.write(sessions.sweep_presence) == 1

    assert await there(town.buyer, order.session_id) == []
    assert len(await log_of(town.buyer, order.session_id)) == closed.next_offset


async def test_devices_are_bounded_and_a_seller_cannot_keep_the_buyer_out(
    town: Town, session_id: str
):
    for number in range(MAX_DEVICES_OF_SELLER):
        await be(town.seller, session_id, "idle", f"worker-{number}")
    with pytest.raises(sessions.TooManyDevices):
        await be(town.seller, session_id, "idle", "worker-x")

    for number in range(MAX_DEVICES - MAX_DEVICES_OF_SELLER):
        await be(town.buyer, session_id, "idle", f"tab-{number}")
    with pytest.raises(sessions.TooManyDevices):
        await be(town.buyer, session_id, "idle", "tab-x")

    await be(town.buyer, session_id, "thinking", "tab-0")
    await be(town.buyer, session_id, "left", "tab-1")
    await be(town.buyer, session_id, "idle", "tab-x")


async def test_a_device_that_turns_to_another_order_leaves_the_first_for_who_sees_only_that(
    town: Town,
):
    session = await town.store.write(
        sessions.open_session,
        buyer_id=town.buyer.id,
        principal_id=None,
        request=OpenSession(need="pages"),
    )
    first = await town.place(session_id=session.id)
    second = await town.place(session_id=session.id)
    grant = Delegation("a-nonce-of-its-own", town.seller.id, session.id, first.id, None)
    helper = town.seller._replace(
        caller=town.seller.caller._replace(
            agent_id="helper",
            kind="delegate",
            scopes=frozenset({"session.read"}),
            delegation=grant,
        )
    )

    await be(town.seller, session.id, "idle", order_id=first.id)
    await be(town.seller, session.id, "idle", order_id=second.id)

    assert [kind for kind, _ in await told(helper, session.id)] == [
        "presence.joined",
        "presence.left",
    ]
    assert await there(helper, session.id) == []
    assert await there(town.buyer, session.id) == [(town.seller.id, "laptop")]


async def test_all_sellers_together_do_not_keep_the_buyer_out(town: Town, session_id: str):
    for rival in range(4):
        await town.store.write(
            sessions.join, session_id=session_id, agent_id=f"rival-{rival}", order_id=f"ord_{rival}"
        )
        party = town.seller._replace(
            caller=town.seller.caller._replace(agent_id=f"rival-{rival}", handle=f"rival-{rival}")
        )
        for number in range(MAX_DEVICES_OF_SELLER):
            await be(party, session_id, "idle", f"worker-{number}")

    with pytest.raises(sessions.TooManyDevices) as refusal:
        await be(town.seller, session_id, "idle")
    assert "40" not in refusal.value.detail
    for number in range(MAX_DEVICES - MAX_DEVICES_OF_SELLERS):
        await be(town.buyer, session_id, "idle", f"tab-{number}")
