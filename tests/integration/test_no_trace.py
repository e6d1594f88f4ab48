"""V14: a refused request leaves every row of every table as it was, but for its own refusal."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import pytest

from market import ledger, orders, reviews
from market.base.clock import ManualClock
from market.base.errors import MarketError
from market.base.once import Once
from market.base.store import Store
from market.protocol.commitments import DeliveryClaims, OrderClaims, ReviewClaims
from market.protocol.wire import Control, Fund, MandateView, OrderView, PlaceOrder, QuoteView
from tests.factories import Party, Town, build_town, enter, mandate
from tests.rows import every_row

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRICE = 400_000


class Scene(NamedTuple):
    """An order that is placed, one that is settled and reviewed, and people without rights."""

    town: Town
    clock: ManualClock
    stranger: Party
    clerk: Town
    mandate: MandateView
    used: QuoteView
    spare: QuoteView
    clerks: QuoteView
    placed: OrderView
    settled: OrderView

    async def review(self) -> Any:
        signed = self.town.buyer.signs(
            ReviewClaims,
            order_id=self.settled.id,
            receipt_id=self.settled.receipt_id,
            verdict="good",
            comment="",
            tags=[],
        )
        return await self.town.store.write(
            reviews.post, caller=self.town.buyer.caller, signed=signed
        )

    async def move(self, verb: Callable[..., Any], by: Party, **more: Any) -> Any:
        return await self.town.store.write(verb, caller=by.caller, order_id=self.placed.id, **more)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def scene(store: Store, clock: ManualClock) -> Scene:
    town = await build_town(store)
    boss = await enter(store, "boss", "principal")
    buyer = await enter(store, "clerk", "buyer", boss.id)
    clerk = town._replace(buyer=buyer)
    used = await town.quote()
    made = Scene(
        town=town,
        clock=clock,
        stranger=await enter(store, "stranger", "seller"),
        clerk=clerk,
        mandate=await mandate(boss, buyer, budget_minor=PRICE - 1),
        used=used,
        spare=await town.quote(),
        clerks=await clerk.quote(),
        placed=await town.place(used),
        settled=await town.settled(),
    )
    await made.review()
    return made


async def too_late(scene: Scene) -> Any:
    scene.clock.advance(timedelta(hours=1))
    return await scene.town.place(scene.spare)


async def cancel_by_stranger(scene: Scene) -> Any:
    return await scene.town.store.write(
        orders.control,
        caller=scene.stranger.caller,
        session_id=scene.placed.session_id,
        request=Control(action="cancel"),
    )


async def complete_another_delivery(scene: Scene) -> Any:
    signed = scene.town.seller.signs(
        DeliveryClaims, order_id=scene.placed.id, chunks=3, units=3, digest="0" * 43
    )
    return await scene.move(orders.complete, scene.town.seller, signed=signed)


async def fund_oneself(scene: Scene) -> Any:
    request = Fund(agent_id=scene.town.buyer.id, amount_minor=1, currency="XTS")
    return await scene.town.store.write(
        ledger.fund, caller=scene.town.buyer.caller, request=request, idempotency_key="k"
    )


REFUSED: Final[dict[str, Callable[[Scene], Awaitable[Any]]]] = {
    "a quote used before": lambda scene: scene.town.place(scene.used),
    "a quote that expired": too_late,
    "another price": lambda scene: scene.town.place(scene.spare, amount_minor=PRICE - 1),
    "no money": lambda scene: scene.clerk.place(scene.clerks),
    "above the budget": lambda scene: scene.clerk.place(scene.clerks, mandate_id=scene.mandate.id),
    "a chunk out of order": lambda scene: scene.town.deliver(scene.placed, 1),
    "a chunk for what has ended": lambda scene: scene.town.deliver(scene.settled, 2),
    "more units than were bought": lambda scene: scene.town.deliver(scene.placed, 0, units=5),
    "a delivery that was none": complete_another_delivery,
    "accepted before it came": lambda scene: scene.town.accept(scene.placed),
    "started by a stranger": lambda scene: scene.move(orders.start, scene.stranger),
    "cancelled by a stranger": cancel_by_stranger,
    "failed by its buyer": lambda scene: scene.move(
        orders.fail, scene.town.buyer, reason="changed my mind"
    ),
    "money for oneself": fund_oneself,
}
"""What is refused, in words."""


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refusal_leaves_no_trace(scene: Scene, what: str):
    settings = scene.town.store.settings
    before = every_row(settings)

    with pytest.raises(MarketError):
        await REFUSED[what](scene)

    assert every_row(settings) == before


async def test_a_refusal_under_a_key_leaves_itself_alone(scene: Scene):
    town, quote = scene.town, scene.used
    settings = town.store.settings
    before = every_row(settings)
    signed = town.buyer.signs(
        OrderClaims,
        quote_id=quote.id,
        quote_digest=quote.digest,
        seller_id=quote.seller_id,
        amount_minor=quote.amount_minor,
        currency=quote.currency,
    )

    for _ in range(2):
        with pytest.raises(MarketError):
            await town.store.write_once(
                Once(town.buyer.id, "key-1", "fingerprint"),
                orders.place,
                caller=town.buyer.caller,
                request=PlaceOrder(quote_id=quote.id, commitment=signed.token),
                signed=signed,
            )

    after = every_row(settings)
    assert set(before) <= set(after)
    [kept] = set(after) - set(before)
    assert "idempotency_answers" in kept
    assert "key-1" in kept
