"""Workers die at random moments while buyers intervene: every control is answered, once, in time.

Whoever answers, money is right to the unit and the audit finds nothing.
"""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from random import Random

import pytest

from buyer_agents import MarketClient, Refused, follow_session
from market.base.settings import Settings
from market.protocol.events import Event
from market.protocol.money import pro_rata
from market.protocol.signing import SigningKey
from market.protocol.wire import OrderView
from tests.e2e.conftest import GRANT_MINOR
from tests.e2e.proofs import assert_whole, listed, log_of
from tests.processes import MarketProcess, Process
from tests.town import PAGES, Tickets, of_kind, open_town, reader, serving, until

BOOK = [f"page {number} says {number * 7}" for number in range(40)]
LIMIT_SECONDS = 120.0
ROUNDS = 5
ORDERS = 4
WARDEN = SigningKey.from_seed(b"w" * 32)
ENDINGS = ("order.cancelled", "order.failed", "delivery.completed")


@pytest.fixture
def market_process(tmp_path: Path) -> Iterator[MarketProcess]:
    """A market that soon misses its workers."""
    home = tmp_path / "market"
    home.mkdir()
    with MarketProcess(
        home,
        signup_grant_minor=GRANT_MINOR,
        lease_seconds=2,
        control_answer_seconds=4,
        overseer_ids=WARDEN.kid,
    ) as process:
        yield process


class Trial:
    """One round: orders under way, interventions at random chunks, and the death of the worker."""

    def __init__(self, buyer: MarketClient, worker: Process, chance: Random) -> None:
        self._buyer = buyer
        self._worker = worker
        self._chance = chance
        self._comes_back = chance.random() < 0.5
        self._dies_at = (chance.randrange(ORDERS), chance.randrange(len(BOOK)))
        self._is_dead = False

    async def live(self, number: int, order: OrderView) -> None:
        """Follow one order to its end; intervene, and kill the worker, where chance wants it."""
        cancel_at = self._chance.choice([0, self._chance.randrange(len(BOOK)), len(BOOK)])
        steer_at = self._chance.randrange(len(BOOK))
        if number == self._dies_at[0]:
            # Some words are spoken to one who dies: the market answers those.
            steer_at = self._dies_at[1]
        async with aclosing(follow_session(self._buyer, order.session_id)) as log:
            async for entry in log:
                if not isinstance(entry, Event):
                    continue
                if entry.kind in ENDINGS:
                    return
                if entry.kind != "delivery.chunk":
                    continue
                index = entry.body["index"]
                acts = [self._kill()] if (number, index) == self._dies_at else []
                acts += [self._say(order, "cancel")] if index == cancel_at else []
                acts += [self._say(order, "steer")] if index == steer_at else []
                self._chance.shuffle(acts)
                await asyncio.gather(*acts)

    async def _kill(self) -> None:
        await asyncio.to_thread(self._worker.kill)
        self._is_dead = True
        if self._comes_back:
            self.revive()

    def revive(self) -> None:
        """Start the worker again if it is dead."""
        if self._is_dead:
            self._worker.start()
            self._is_dead = False

    async def _say(self, order: OrderView, action: str) -> None:
        text = "go on" if action == "steer" else ""
        await self._buyer.control(order.session_id, action, order_id=order.id, text=text)


def assert_answered(log: list[Event]) -> None:
    """Every intervention has one answer, which stands in the log within its deadline."""
    asked = {event.offset: event for event in log if event.kind == "control.requested"}
    answers = [event for event in log if event.kind == "control.answered"]
    assert sorted(event.body["request_offset"] for event in answers) == sorted(asked)
    for event in answers:
        request = asked[event.body["request_offset"]]
        answer_by = request.body["answer_by"]
        if answer_by is None:
            assert event.recorded_at == request.recorded_at
        else:
            assert event.recorded_at <= answer_by


def assert_paid(order: OrderView) -> None:
    """Each ending pays exactly what it says: pro rata, nothing, or everything."""
    due = {
        "cancelled": pro_rata(order.amount_minor, part=order.units_delivered, whole=order.units),
        "failed": 0,
        "settled": order.amount_minor,
    }
    assert order.captured_minor == due[order.state]
    assert order.captured_minor + order.returned_minor == order.amount_minor


async def test_a_worker_dies_at_random_moments_while_the_buyer_intervenes(
    market_process: MarketProcess, seller_process: Process
):
    ended: list[OrderView] = []
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        MarketClient(market_process.url, SigningKey.generate()) as buyer,
        MarketClient(market_process.url, WARDEN) as warden,
    ):
        await buyer.register("thrifty", "buyer")
        await warden.register("warden", "overseer")
        service_id = await listed(buyer, within_seconds=LIMIT_SECONDS)
        seller_id = (await buyer.service(service_id)).seller_id
        for seed in range(ROUNDS):
            # A seller whose workers die so often is frozen; this trial is about its buyers.
            with suppress(Refused):
                await warden.unfreeze(seller_id, "its workers die for a trial")
            placed = [
                await buyer.place_order(await buyer.ask_quote(service_id, {"pages": BOOK}))
                for _ in range(ORDERS)
            ]
            trial = Trial(buyer, seller_process, Random(seed))
            await asyncio.gather(*(trial.live(number, one) for number, one in enumerate(placed)))
            trial.revive()
            ended += [await settled(buyer, order) for order in placed]

        for order in ended:
            assert_answered(await log_of(buyer, order.session_id))
            assert_paid(order)
        [balance] = (await buyer.wallet()).balances
        paid = sum(order.captured_minor for order in ended)
        assert (balance.available_minor, balance.held_minor) == (GRANT_MINOR - paid, 0)
    assert {"cancelled", "settled"} <= {order.state for order in ended}
    assert_whole(market_process)


async def settled(buyer: MarketClient, order: OrderView) -> OrderView:
    """The order as it ended; a delivery is accepted."""
    now = await buyer.order(order.id)
    return await buyer.accept(order.id) if now.state == "delivered" else now


# What the SDK does by itself


async def test_a_slow_handler_keeps_its_order_and_a_worker_that_is_gone_loses_it(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings.with_(lease_seconds=1)) as town:
        buyer, tickets = await town.client("thrifty"), Tickets(1)
        slow = await town.order(buyer, await town.open(town.seller(reader(tickets))))
        await until(buyer, slow.session_id, of_kind("delivery.chunk"))
        async with serving(town, town.seller(reader(Tickets(1)), slug="mortal")) as mortal:
            lost = await town.order(buyer, mortal)
            await until(buyer, lost.session_id, of_kind("delivery.chunk"))

        log = await until(buyer, lost.session_id, of_kind("order.failed"))
        tickets.give(5)
        whole = await until(buyer, slow.session_id, of_kind("delivery.completed"))

    assert [event.kind for event in log][-2:] == ["order.stalled", "order.failed"]
    assert "order.stalled" not in [event.kind for event in whole]
    chunks = [event.body["output"]["page"] for event in whole if event.kind == "delivery.chunk"]
    assert chunks == PAGES["pages"]


async def test_a_worker_that_comes_after_the_cancel_is_told_where_it_stands(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        buyer, key = await town.client("thrifty"), SigningKey.generate()
        async with serving(town, town.seller(reader(Tickets()), key=key)) as service:
            pass
        order = await town.order(buyer, service)
        [cancelled] = await buyer.control(order.session_id, "cancel")
        worker = await town.client("reader", "seller", key=key)

        with pytest.raises(Refused) as refusal:
            await worker.start(order.id)

        assert refusal.value.code == "order_cancelled"
        assert refusal.value.facts["cancel_offset"] == cancelled.offset
        after = await buyer.order(order.id)
        assert (after.captured_minor, after.returned_minor) == (0, order.amount_minor)
