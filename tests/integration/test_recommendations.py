"""Recommendations: on the strength of a receipt, told once, attributed when bought."""

from typing import Any

import msgspec
import pytest

from market import inbox, ledger, orders, recommendations, sessions
from market.base.store import Store
from market.protocol.commitments import RecommendationClaims
from market.protocol.wire import MessageView, OrderView, RecommendationView
from tests.factories import Party, Town, enter, publish, race


@pytest.fixture
async def friend(store: Store) -> Party:
    return await enter(store, "friend", "buyer")


async def send(party: Party, order: OrderView, *to: str, **said: Any) -> RecommendationView:
    members = {
        "receipt_id": order.receipt_id,
        "service_id": order.service_id,
        "recipient_ids": list(to),
    } | said
    signed = party.signs(RecommendationClaims, **members)
    return await party.store.write(recommendations.send, caller=party.caller, signed=signed)


async def messages(party: Party) -> list[MessageView]:
    view = await party.store.read(inbox.read, caller=party.caller, after=-1, limit=100)
    return [m for m in view.items if m.kind == "recommendation.received"]


async def sent_by(party: Party, **page: Any) -> Any:
    return await party.store.scan(
        recommendations.recommendations_of,
        **{"caller": party.caller, "cursor": None, "limit": 10} | page,
    )


async def test_a_recommendation_reaches_the_inbox_of_each_recipient(town: Town, friend: Party):
    order = await town.settled()
    other = await enter(town.store, "other", "principal")

    view = await send(town.buyer, order, friend.id, other.id, comment="Good tables.")

    assert view.recipient_ids == sorted([friend.id, other.id])
    assert (view.from_id, view.slug, view.comment) == (town.buyer.id, "acme-pdf", "Good tables.")
    for party in (friend, other):
        (message,) = await messages(party)
        assert message.body == {
            "recommendation_id": view.id,
            "service_id": town.service.id,
            "slug": "acme-pdf",
            "from_id": town.buyer.id,
            "comment": "Good tables.",
            "receipt_id": order.receipt_id,
        }


async def test_a_recommendation_is_noted_for_the_owners_of_the_journey(town: Town, friend: Party):
    order = await town.settled()

    view = await send(town.buyer, order, friend.id)

    event = (await town.log_of(order.session_id))[-1]
    assert (event["kind"], event["audience"]) == ("recommendation.sent", "owner")
    assert event["body"]["recommendation_id"] == view.id
    assert event["body"]["recipient_ids"] == [friend.id]


async def test_after_the_journey_is_closed_a_recommendation_is_still_sent(
    town: Town, friend: Party
):
    order = await town.settled()
    await town.store.write(
        sessions.close, caller=town.buyer.caller, session_id=order.session_id, reason="done"
    )

    assert await send(town.buyer, order, friend.id)

    assert len(await messages(friend)) == 1


async def test_a_recipient_is_told_once_on_a_receipt(town: Town, friend: Party):
    order = await town.settled()
    first = await send(town.buyer, order, friend.id)
    other = await enter(town.store, "other", "buyer")

    again = await send(town.buyer, order, friend.id, friend.id, comment="Really!")
    more = await send(town.buyer, order, friend.id, other.id)

    assert again == first
    assert (more.id != first.id, more.recipient_ids) == (True, [other.id])
    assert (len(await messages(friend)), len(await messages(other))) == (1, 1)


async def test_racing_recommendations_tell_once(town: Town, friend: Party):
    order = await town.settled()

    await race(8, lambda: send(town.buyer, order, friend.id), collect=recommendations.OtherService)

    assert len(await messages(friend)) == 1
    assert len((await sent_by(town.buyer)).items) == 1


async def test_what_recipients_buy_afterwards_is_attributed(town: Town, friend: Party):
    await town.store.write(
        ledger.mint,
        agent_id=friend.id,
        amount_minor=10_000_000,
        currency="XTS",
        idempotency_key="friend",
    )
    theirs = town._replace(buyer=friend)
    before = await theirs.settled()
    order = await town.settled()
    view = await send(town.buyer, order, friend.id)
    assert view.bought_order_ids == []

    after = await theirs.place()
    await town.place()

    (listed,) = (await sent_by(town.buyer)).items
    assert listed == msgspec.structs.replace(view, bought_order_ids=[after.id])
    assert before.id not in listed.bought_order_ids


async def test_only_the_holder_of_the_receipt_recommends(town: Town, friend: Party):
    order = await town.settled()

    with pytest.raises(orders.ReceiptNotFound):
        await send(friend, order, town.buyer.id)
    # The seller sees the receipt too, but did not buy.
    seller = town.seller._replace(
        caller=town.seller.caller._replace(scopes=frozenset({"read", "review"}))
    )
    with pytest.raises(orders.ReceiptNotFound):
        await send(seller, order, friend.id)

    assert await messages(friend) == []


async def test_a_receipt_speaks_for_its_own_service(town: Town, friend: Party):
    order = await town.settled()
    other = await publish(town.seller, id="acme-other")

    with pytest.raises(recommendations.OtherService):
        await send(town.buyer, order, friend.id, service_id=other.id)

    assert await messages(friend) == []


async def test_a_recipient_that_is_nobody_is_named(town: Town, friend: Party):
    order = await town.settled()
    nobody = "n" * 43

    with pytest.raises(recommendations.UnknownRecipient) as refusal:
        await send(town.buyer, order, friend.id, nobody)

    assert refusal.value.facts == {"recipient_id": nobody}
    assert await messages(friend) == []


async def test_nobody_recommends_to_itself(town: Town):
    order = await town.settled()

    with pytest.raises(recommendations.OwnRecommendation):
        await send(town.buyer, order, town.buyer.id)


async def test_what_was_never_delivered_cannot_be_recommended(town: Town, friend: Party):
    order = await town.place()
    await town.control(order.session_id, "cancel", order_id=order.id)

    with pytest.raises(recommendations.NothingToRecommend):
        await send(town.buyer, await town.order(order), friend.id)


async def test_a_list_holds_the_callers_own_newest_first(town: Town, friend: Party):
    sent = [await send(town.buyer, await town.settled(), friend.id) for _ in range(3)]

    first = await sent_by(town.buyer, limit=2)
    second = await sent_by(town.buyer, limit=2, cursor=first.next)

    assert [view.id for view in [*first.items, *second.items]] == [v.id for v in sent[::-1]]
    assert second.next is None
    assert (await sent_by(friend)).items == []
