"""What follows a delivery on a real server: holds that end by themselves, disputes, redos."""

import tomllib
from typing import Any

import pytest

from buyer_agents import MarketClient, Refused
from market.audit import audit
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.delivery import chain
from market.protocol.events import Event
from market.protocol.signing import SigningKey
from market.protocol.wire import OrderView, ServiceView
from seller_services import Seller
from tests.town import MANIFEST, Tickets, of_kind, open_town, reader, until

QUICK = {
    "accept_window_seconds": 1,
    "lease_seconds": 1,
    "pause_seconds": 1,
    "dispute_answer_seconds": 1,
    "dispute_decide_seconds": 1,
}
ENDINGS = ("order.settled", "order.cancelled", "order.failed")
PRICE = 600_000


async def publish(seller: MarketClient, **changes: Any) -> ServiceView:
    tree = tomllib.loads(MANIFEST.format(slug="reader", price="0.10", refund="within-window"))
    return await seller.publish({**tree, **changes})


async def deliver(seller: MarketClient, order: OrderView) -> None:
    await seller.start(order.id)
    digest = chain("", {"page": "a"})
    await seller.chunk(order.id, 0, {"page": "a"}, units=6)
    await seller.complete(order.id, chunks=1, units=6, delivery_digest=digest)


def ends(event: Event) -> bool:
    return event.kind in ENDINGS


async def test_every_hold_ends_by_itself_on_a_running_market(sqlite_settings: Settings):
    """P4, S11: real clock, real chores: nothing that somebody left lying stays in escrow."""
    settings = sqlite_settings.with_(**QUICK)
    async with open_town(settings) as town:
        buyer, seller = await town.client("thrifty"), await town.client("acme", "seller")
        tree = {"limits": {"deliver_seconds": 2, "concurrency": 8}}
        service = await publish(seller, **tree)
        stuck = {name: await town.order(buyer, service) for name in ("placed", "started", "paused")}
        stuck |= {name: await town.order(buyer, service) for name in ("delivered", "disputed")}
        await seller.start(stuck["started"].id)
        await buyer.control(stuck["paused"].session_id, "pause")
        for name in ("delivered", "disputed"):
            await deliver(seller, stuck[name])
        await buyer.open_dispute(stuck["disputed"].id, "not_as_described", "only one page")

        for order in stuck.values():
            await until(buyer, order.session_id, ends)

        states = {name: (await buyer.order(order.id)).state for name, order in stuck.items()}
        assert states == {
            "placed": "failed",
            "started": "failed",
            "paused": "cancelled",
            "delivered": "settled",
            "disputed": "failed",
        }
        [balance] = (await buyer.wallet()).balances
        assert balance.held_minor == 0
        for order in stuck.values():
            assert len(await buyer.receipts(order.id)) == 1
            assert await seller.receipts(order.id) == await buyer.receipts(order.id)
    prove(settings)


async def test_a_sellers_handler_runs_again_for_a_redo(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        buyer = await town.client("thrifty")
        text = MANIFEST.format(slug="reader", price="0.10", refund="never")
        path = sqlite_settings.home / "redoing.toml"
        path.write_text(text.replace("policies = { ", "policies = { redo = 1, "), "utf-8")
        seller = Seller(path, key=SigningKey.generate(), handle="reader")
        seller.handle(reader(Tickets(12)))
        service = await town.open(seller)
        order = await town.order(buyer, service)
        await until(buyer, order.session_id, of_kind("delivery.completed"))

        asked = await buyer.support(order.id, "redo")

        assert asked.redo_order_id is not None
        await until(
            buyer,
            order.session_id,
            lambda event: event.kind == "order.settled" and event.order_id == asked.redo_order_id,
        )
        again = await buyer.order(asked.redo_order_id)
        assert (again.redo_of, again.units_delivered, again.captured_minor) == (order.id, 6, 0)
        assert (await buyer.accept(order.id)).captured_minor == PRICE
    prove(sqlite_settings)


async def test_a_dispute_from_opening_to_an_overseers_word(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        buyer, seller = await town.client("thrifty"), await town.client("acme", "seller")
        warden = await town.overseer()
        order = await town.order(buyer, await publish(seller))
        await deliver(seller, order)
        log = await until(buyer, order.session_id, of_kind("delivery.completed"))
        chunk = next(event for event in log if event.kind == "delivery.chunk")

        opened = await buyer.open_dispute(
            order.id, "not_as_described", "one page", evidence=[chunk.offset]
        )
        answered = await seller.answer_dispute(opened.id, "contest", "that was the page")
        queue = await warden.disputes(state="answered")
        with pytest.raises(Refused) as refused:
            await buyer.resolve_dispute(opened.id, PRICE, "me")
        resolved = await warden.resolve_dispute(opened.id, 500_000, "five pages are missing")

        assert [one.id for one in queue.items] == [opened.id]
        assert refused.value.code == "insufficient_scope"
        assert [(one.offset, one.hash) for one in answered.evidence] == [(chunk.offset, chunk.hash)]
        assert (resolved.decided_by, resolved.refunded_minor) == ("overseer", 500_000)
        told = await seller.explain(order.id)
        assert told.paid.startswith("0.10 XTS was paid, with a fee of 0.0015 XTS")
        assert [one.amount_minor for one in told.movements] == [PRICE, 100_000, 500_000]
        after = await seller.refund(order.id, "all of it", amount_minor=40_000)
        assert after.refunded_minor == 40_000
        assert (await buyer.dispute(opened.id)).state == "resolved"
        with pytest.raises(Refused) as late:
            await buyer.withdraw_dispute(opened.id)
        assert late.value.code == "wrong_dispute_state"
    prove(sqlite_settings)


def prove(settings: Settings) -> None:
    """Let the audit look at a market that has closed."""
    store = Store.open(settings)
    try:
        assert store.read_now(audit) == []
    finally:
        store.close()
