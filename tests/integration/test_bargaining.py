"""Bargaining: a buyer names a price, the seller signs another, and the market keeps both honest."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import catalog, identity, inbox, orders, sessions
from market.audit import audit
from market.base.caller import BadCommitment, Signed
from market.base.clock import ManualClock, seconds_of
from market.base.settings import Settings
from market.base.store import Store
from market.chores import run_chores
from market.protocol.commitments import (
    OFFER,
    QUOTE,
    OfferClaims,
    QuoteClaims,
)
from market.protocol.wire import (
    CounterView,
    DeclineCounter,
    MakeCounter,
    OpenSession,
    QuoteView,
    SessionView,
)
from tests.factories import Party, Town, build_town, enter, publish, race
from tests.workers import Hold, somebody_waits, two_workers

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRICE = 400_000
TIERS = {
    "per": "tiers",
    "tiers": [{"up_to": 2, "amount": "0.30"}, {"amount": "0.10"}],
    "currency": "XTS",
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


async def counter(
    town: Town, quote: QuoteView, minor: int, by: Party | None = None, **more: Any
) -> CounterView:
    return await town.store.write(
        orders.counter_quote,
        caller=(by or town.buyer).caller,
        quote_id=quote.id,
        request=MakeCounter(amount_minor=minor, **more),
    )


async def answer(
    town: Town, one: CounterView, minor: int, by: Party | None = None, **said: Any
) -> CounterView:
    party = by or town.seller
    return await town.store.write(
        orders.answer_counter,
        caller=party.caller,
        counter_id=one.id,
        signed=offer(party, one, minor, **said),
    )


def offer(party: Party, one: CounterView, minor: int, **said: Any) -> Signed[OfferClaims]:
    """What a seller signs of an amount for a counter-offer."""
    members = {
        "exp": seconds_of(party.store.clock.now()) + 120,
        "counter_id": one.id,
        "quote_id": one.quote_id,
        "quote_digest": one.quote_digest,
        "amount_minor": minor,
        "currency": one.currency,
    } | said
    return party.signs(OfferClaims, **members)


async def decline(town: Town, one: CounterView, by: Party | None = None) -> CounterView:
    return await town.store.write(
        orders.decline_counter,
        caller=(by or town.seller).caller,
        counter_id=one.id,
        request=DeclineCounter(reason="no"),
    )


async def bargained(town: Town, quote: QuoteView, asked: int, answered: int) -> QuoteView:
    """The quote that comes of one round."""
    one = await answer(town, await counter(town, quote, asked), answered)
    assert one.answer_quote_id is not None
    return await town.store.read(
        catalog.read_quote, caller=town.buyer.caller, quote_id=one.answer_quote_id
    )


async def messages(party: Party, kind: str) -> list[dict[str, Any]]:
    view = await party.store.read(inbox.read, caller=party.caller, after=-1, limit=100)
    return [message.body for message in view.items if message.kind == kind]


async def open_session(town: Town) -> SessionView:
    return await town.store.write(
        sessions.open_session,
        buyer_id=town.buyer.id,
        principal_id=None,
        request=OpenSession(need="tables"),
    )


async def told(town: Town, session: SessionView) -> list[dict[str, Any]]:
    events = await town.log_of(session.id)
    return [event for event in events if event["kind"].startswith("quote.")]


async def test_a_counter_offer_becomes_a_quote_that_both_signed(town: Town):
    quote = await town.quote()

    fresh = await bargained(town, quote, 300_000, 350_000)
    order = await town.place(fresh)

    claims = town.store.signer.public.read(fresh.quote, typ=QUOTE, claims=QuoteClaims)
    assert (fresh.amount_minor, fresh.origin_quote_id, order.amount_minor) == (
        350_000,
        quote.id,
        350_000,
    )
    assert claims.offer is not None
    offer = town.seller.key.public.read(claims.offer, typ=OFFER, claims=OfferClaims)
    assert (offer.amount_minor, offer.quote_digest) == (350_000, quote.digest)
    assert await town.store.scan(audit) == []


async def test_a_bargained_order_pays_its_part_of_the_bargained_amount(store: Store):
    """M7: three of four units of a price in tiers, at half of it."""
    town = await build_town(store, price=TIERS)
    order = await town.place(await bargained(town, await town.quote(), 400_000, 400_000))
    for index in range(3):
        await town.deliver(order, index)
    await town.complete(order)

    settled = await town.accept(order)

    assert (settled.captured_minor, settled.returned_minor) == (350_000, 50_000)
    assert await store.scan(audit) == []


async def test_both_sides_are_told_and_the_journey_says_it(town: Town):
    session = await open_session(town)
    quote = await town.quote()

    one = await counter(town, quote, 300_000, note="It is a short one.", session_id=session.id)
    await answer(town, one, 320_000)

    [asked] = await messages(town.seller, "quote.countered")
    assert (asked["amount_minor"], asked["note"], asked["units"]) == (
        300_000,
        "It is a short one.",
        4,
    )
    assert session.id not in json.dumps(asked)
    [answered] = await messages(town.buyer, "quote.answered")
    assert answered["answered_minor"] == 320_000
    events = await told(town, session)
    assert [(event["kind"], event["actor_id"], event["audience"]) for event in events] == [
        ("quote.countered", town.buyer.id, "order"),
        ("quote.answered", town.seller.id, "order"),
    ]
    assert {event["stage"] for event in events} == {"evaluating"}
    assert await town.store.scan(audit) == []


async def test_an_answer_above_the_signed_price_is_refused_and_counted(town: Town):
    """S9: refused, an event, and a fact against the seller."""
    session = await open_session(town)
    quote = await town.quote()
    one = await counter(town, quote, 300_000, session_id=session.id)
    before = await town.store.read(catalog.trust_report, service_id=town.service.id)

    ended = await answer(town, one, PRICE + 1)

    assert (ended.state, ended.answer_quote_id) == ("refused", None)
    with pytest.raises(orders.BaitAndSwitch):
        orders.unless_refused(ended)
    after = await town.store.read(catalog.trust_report, service_id=town.service.id)
    assert after.price_changes == before.price_changes + 1
    assert [event["body"]["state"] for event in (await told(town, session))[1:]] == ["refused"]
    assert await town.store.scan(audit) == []
    assert (await town.place(quote)).amount_minor == PRICE


async def test_the_same_answer_again_changes_nothing(town: Town):
    """S12: once, however often it is sent."""
    one = await counter(town, await town.quote(), 300_000)
    first = await answer(town, one, 310_000)

    assert await answer(town, one, 310_000) == first
    assert len(await messages(town.buyer, "quote.answered")) == 1
    with pytest.raises(catalog.CounterEnded):
        await answer(town, one, 310_000, exp=seconds_of(NOON) + 60)


async def test_one_of_twenty_answers_at_once_is_taken(town: Town):
    one = await counter(town, await town.quote(), 300_000)
    exps = iter(range(60, 80))

    refusals = await race(
        20,
        lambda: answer(town, one, 310_000, exp=seconds_of(NOON) + next(exps)),
        collect=catalog.CounterEnded,
    )

    assert len(refusals) == 19
    assert len(await messages(town.buyer, "quote.answered")) == 1


async def test_one_of_twenty_counter_offers_at_once_is_made(town: Town):
    quote = await town.quote()

    refusals = await race(20, lambda: counter(town, quote, 300_000), collect=catalog.CounterOpen)

    assert len(refusals) == 19
    assert len(await messages(town.seller, "quote.countered")) == 1


async def test_a_seller_that_says_no_leaves_the_quote_good(town: Town):
    quote = await town.quote()
    one = await counter(town, quote, 300_000)

    ended = await decline(town, one)

    assert (ended.state, ended.detail) == ("declined", "no")
    assert (await decline(town, one)).state == "declined"
    assert len(await messages(town.buyer, "quote.declined")) == 1
    with pytest.raises(catalog.CounterEnded):
        await answer(town, one, 300_000)
    assert (await town.place(quote)).amount_minor == PRICE


async def test_a_counter_offer_waits_until_its_quote_expires(town: Town, clock: ManualClock):
    quote = await town.quote()
    one = await counter(town, quote, 300_000)

    clock.advance(timedelta(seconds=town.store.settings.quote_ttl_seconds))
    with pytest.raises(catalog.CounterEnded):
        await answer(town, one, 300_000)
    done = await run_chores(town.store)

    assert done["counters.expire"] == 1
    assert (await run_chores(town.store))["counters.expire"] == 0
    assert len(await messages(town.buyer, "quote.expired")) == 1
    ended = await town.store.read(
        catalog.counter_offer, caller=town.buyer.caller, counter_id=one.id
    )
    assert ended.state == "expired"
    clock.advance(catalog.KEEP_UNUSED + timedelta(seconds=1))
    assert await town.store.write(catalog.forget_counters) == 1


async def test_five_rounds_are_enough(town: Town):
    """D8: neither side keeps the other busy for ever."""
    quote = await town.quote()
    for number in range(catalog.MAX_ROUNDS):
        if number % 2:
            await decline(town, await counter(town, quote, 100_000))
        else:
            quote = await bargained(town, quote, 100_000, PRICE - 1_000 * (number + 1))

    with pytest.raises(catalog.TooManyRounds):
        await counter(town, quote, 100_000)

    assert (await town.place(quote)).amount_minor == PRICE - 5_000


async def test_only_so_many_counter_offers_wait_at_once(town: Town):
    for _ in range(catalog.MAX_OPEN_OF_BUYER):
        await counter(town, await town.quote(), 300_000)

    with pytest.raises(catalog.TooManyCounters):
        await counter(town, await town.quote(), 300_000)


@pytest.mark.parametrize("minor", [PRICE, PRICE + 1])
async def test_a_counter_offer_is_below_the_quote(town: Town, minor: int):
    with pytest.raises(catalog.BadCounter):
        await counter(town, await town.quote(), minor)


async def test_another_version_makes_a_quote_stale(town: Town):
    """M17: neither a counter-offer nor an answer outlives the version that was quoted."""
    quote, other = await town.quote(), await town.quote()
    one = await counter(town, quote, 300_000)
    await publish(town.seller, version="2")

    for attempt in (lambda: answer(town, one, 300_000), lambda: counter(town, other, 300_000)):
        with pytest.raises(catalog.QuoteStale) as refusal:
            await attempt()
        assert refusal.value.status == 409


async def test_a_seller_that_offers_nothing_any_more_cannot_answer(town: Town):
    quote = await town.quote()
    one = await counter(town, quote, 300_000)
    await town.store.write(catalog.suspend_seller, seller_id=town.seller.id)

    with pytest.raises(catalog.ServiceNotListed):
        await answer(town, one, 300_000)
    with pytest.raises(catalog.ServiceNotListed):
        await counter(town, quote, 200_000)

    await town.store.write(catalog.reinstate_seller, seller_id=town.seller.id)
    assert (await answer(town, one, 300_000)).state == "answered"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"quote_digest": "x" * 43}, "quote_digest"),
        ({"quote_id": "qte_01h455vb4pex5vsknk084sn02q"}, "quote_id"),
        ({"counter_id": "ctr_01h455vb4pex5vsknk084sn02q"}, "counter_id"),
        ({"currency": "EUR"}, "currency"),
    ],
)
async def test_an_offer_for_something_else_is_refused(town: Town, said: dict[str, Any], field: str):
    """M3, M6: an offer is bound to its quote, its counter-offer and its currency."""
    one = await counter(town, await town.quote(), 300_000)

    with pytest.raises(catalog.OfferMismatch) as refusal:
        await answer(town, one, 300_000, **said)

    assert refusal.value.facts["field"] == field


async def test_an_offer_that_is_over_is_refused(town: Town):
    one = await counter(town, await town.quote(), 300_000)

    with pytest.raises(catalog.OfferMismatch):
        await answer(town, one, 300_000, exp=seconds_of(NOON))
    with pytest.raises(BadCommitment):
        await answer(town, one, 300_000, exp=seconds_of(NOON) - 60)


async def test_a_bargained_quote_ends_with_the_offer(town: Town, clock: ManualClock):
    fresh = await bargained(town, await town.quote(), 300_000, 300_000)

    clock.advance(timedelta(seconds=120))

    with pytest.raises(catalog.QuoteExpired):
        await town.place(fresh)


async def test_strangers_neither_see_nor_answer(town: Town):
    """Z1: to others it is not there."""
    quote = await town.quote()
    one = await counter(town, quote, 300_000)
    rival = await enter(town.store, "rival", "seller")
    stranger = await enter(town.store, "stranger", "buyer")

    for attempt in (
        lambda: answer(town, one, 300_000, by=rival),
        lambda: decline(town, one, by=rival),
        lambda: decline(town, one, by=town.buyer),
        lambda: town.store.read(catalog.counter_offer, caller=stranger.caller, counter_id=one.id),
    ):
        with pytest.raises(catalog.CounterNotFound):
            await attempt()
    with pytest.raises(catalog.QuoteNotFound):
        await counter(town, quote, 300_000, by=stranger)
    with pytest.raises(catalog.BuyersOnly):
        await counter(town, quote, 300_000, by=rival)


async def test_each_side_lists_its_own_and_the_journey_stays_the_buyers(town: Town):
    session = await open_session(town)
    one = await counter(town, await town.quote(), 300_000, session_id=session.id)
    other = await counter(town, await town.quote(), 200_000)
    await decline(town, other)

    async def listed(party: Party, state: str = "") -> list[CounterView]:
        page = await town.store.scan(
            catalog.counter_offers, caller=party.caller, state=state, cursor=None, limit=10
        )
        return page.items

    assert [view.id for view in await listed(town.buyer)] == [other.id, one.id]
    [seen] = await listed(town.seller, "open")
    assert (seen.id, seen.session_id) == (one.id, None)
    assert (await listed(town.buyer, "open"))[0].session_id == session.id


async def test_a_foreign_session_is_not_written_to(town: Town):
    stranger = await enter(town.store, "stranger", "buyer")
    theirs = await town.store.write(
        sessions.open_session,
        buyer_id=stranger.id,
        principal_id=None,
        request=OpenSession(need="mine"),
    )

    with pytest.raises(sessions.SessionNotFound):
        await counter(town, await town.quote(), 300_000, session_id=theirs.id)


async def test_a_used_or_expired_quote_is_not_bargained_over(town: Town, clock: ManualClock):
    used, late = await town.quote(), await town.quote()
    await town.place(used)

    with pytest.raises(catalog.QuoteUsed):
        await counter(town, used, 300_000)
    clock.advance(timedelta(seconds=town.store.settings.quote_ttl_seconds))
    with pytest.raises(catalog.QuoteExpired):
        await counter(town, late, 300_000)
    assert await town.store.read(identity.agent, agent_id=town.seller.id)


async def test_two_workers_tell_of_one_answer_once(postgres_settings: Settings):
    """M16: the same answer that comes twice at the same moment is one answer."""
    with two_workers(postgres_settings, clock=ManualClock(NOON)) as (left, right):
        town = await build_town(left)
        one = await counter(town, await town.quote(), 300_000)
        signed = offer(town.seller, one, 350_000)
        said = {"caller": town.seller.caller, "counter_id": one.id, "signed": signed}
        first = Hold(orders.answer_counter)
        answering = asyncio.create_task(left.write(first, **said))
        await first.has_worked()
        too = asyncio.create_task(right.write(orders.answer_counter, **said))
        await somebody_waits(postgres_settings)
        first.let_go()

        assert await answering == await too

        assert len(await messages(town.buyer, "quote.answered")) == 1
