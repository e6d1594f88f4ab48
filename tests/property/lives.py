"""Lives of orders at random, for the laws: buyers, a seller, an overseer, and time that jumps.

One buyer is under a mandate; the seller has a service per call and one per unit.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from market import catalog, ledger, mandates, orders
from market.audit import audit
from market.base.clock import ManualClock, to_micros
from market.base.errors import MarketError
from market.base.settings import Settings
from market.base.sql import Sql
from market.base.store import Store
from market.base.work import Snapshot
from market.ledger.tables import accounts, unfolded_postings
from market.protocol.commitments import DeliveryClaims, ManifestClaims, OrderClaims
from market.protocol.events import Action
from market.protocol.ids import Ids
from market.protocol.pricing import split
from market.protocol.wire import (
    AskQuote,
    AskSupport,
    Chunk,
    Control,
    OrderView,
    PlaceOrder,
    QuoteView,
)
from tests.factories import PAGES, Party, enter, mandate, manifest, output
from tests.rows import every_row

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
OVERSEER_SCOPES = frozenset({"read", "oversee", "fund"})
WALLET_MINOR = 1_500_000
BUDGET_MINOR = 900_000
FEE_BASIS_POINTS = Settings().fee_basis_points
ORDERS = st.integers(0, 3)
ACTIONS = st.sampled_from(["cancel", "pause", "resume", "approve", "deny", "steer"])
_BALANCES = Sql(select(accounts.c.kind, accounts.c.balance_minor))
_UNFOLDED = Sql(select(unfolded_postings.c.amount_minor))


class Placed(NamedTuple):
    """An order, who placed it, and over which quote."""

    buyer: Party
    quote: QuoteView
    order: OrderView


def holdings(snapshot: Snapshot) -> int:
    """Everything on all accounts, the house's among them: zero, since issuance is below it."""
    kept: int = sum(row.balance_minor for row in snapshot.all(_BALANCES))
    return kept + sum(row.amount_minor for row in snapshot.all(_UNFOLDED))


class Lives(RuleBasedStateMachine):
    """The market of one example, on a fresh database with every table and no rows."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings.with_(synchronous="normal", log_level="error")
        self.clock = ManualClock(START)
        self.store = self.open_store()
        self.placed: list[Placed] = []
        self.mandate_ids: dict[str, str] = {}

    def open_store(self, seed: int = 0) -> Store:
        """A worker on the example's database, with chance of its own."""
        ids = Ids(lambda: to_micros(self.clock.now()) // 1_000, Random(seed))
        return Store.open(self.settings, clock=self.clock, ids=ids)

    def teardown(self) -> None:
        self.store.close()

    @initialize()
    def everybody_enters_and_some_order(self) -> None:
        asyncio.run(self.enter())
        self.place(is_under_mandate=False, is_per_unit=True)
        self.place(is_under_mandate=True, is_per_unit=True)
        self.place(is_under_mandate=True, is_per_unit=False)

    @rule(is_under_mandate=st.booleans(), is_per_unit=st.booleans())
    def place(self, is_under_mandate: bool, is_per_unit: bool) -> None:
        buyer = self.bound if is_under_mandate else self.free
        ask = AskQuote(service_id=self.service_ids[is_per_unit], input=PAGES)
        quote = self.store.write_now(catalog.quote, caller=buyer.caller, ask=ask)
        order = self.order(buyer, quote)
        if order is not None:
            self.placed.append(Placed(buyer, quote, order))

    @rule(which=ORDERS)
    def pay_a_quote_twice(self, which: int) -> None:
        at = self.at(which)
        assert self.order(at.buyer, at.quote) is None

    @rule(which=ORDERS)
    def start(self, which: int) -> None:
        self.attempt(orders.start, caller=self.seller.caller, order_id=self.at(which).order.id)

    @rule(which=ORDERS, units=st.integers(0, 3))
    def deliver(self, which: int, units: int) -> None:
        at = self.at(which)
        self.deliver_chunk(at, self.now(at).chunks_delivered, units)

    @rule(which=ORDERS, index=st.integers(0, 4), units=st.integers(0, 5))
    def deliver_out_of_turn(self, which: int, index: int, units: int) -> None:
        self.deliver_chunk(self.at(which), index, units)

    @rule(which=ORDERS)
    def complete(self, which: int) -> None:
        at = self.at(which)
        now = self.now(at)
        signed = self.seller.signs(
            DeliveryClaims,
            order_id=now.id,
            chunks=now.chunks_delivered,
            units=now.units_delivered,
            digest=now.delivery_digest or "0" * 43,
        )
        caller = self.seller.caller
        if now.chunks_delivered:
            self.attempt(orders.complete, caller=caller, order_id=now.id, signed=signed)
        else:
            # A digest of nothing is refused, and remembered: that refusal leaves its trace.
            with suppress(MarketError):
                self.store.write_now(orders.complete, caller=caller, order_id=now.id, signed=signed)

    @rule(which=ORDERS)
    def accept(self, which: int) -> None:
        at = self.at(which)
        self.attempt(orders.accept, caller=at.buyer.caller, order_id=at.order.id)

    @rule(which=ORDERS)
    def deliver_the_rest_and_settle(self, which: int) -> None:
        at = self.at(which)
        now = self.now(at)
        self.deliver_chunk(at, now.chunks_delivered, now.units - now.units_delivered)
        self.complete(which)
        self.accept(which)

    @rule(which=ORDERS)
    def deliver_a_part_and_be_cancelled(self, which: int) -> None:
        at = self.at(which)
        self.deliver_chunk(at, self.now(at).chunks_delivered, 1)
        self.intervene(which, "cancel", "buyer")

    @rule(which=ORDERS)
    def fail(self, which: int) -> None:
        self.attempt(
            orders.fail,
            caller=self.seller.caller,
            order_id=self.at(which).order.id,
            reason="no paper",
        )

    @rule(which=ORDERS, action=ACTIONS, who=st.sampled_from(["buyer", "seller", "overseer"]))
    def control(self, which: int, action: Action, who: str) -> None:
        self.intervene(which, action, who)

    @rule(which=ORDERS)
    def give_a_sign_of_life(self, which: int) -> None:
        order_id = self.at(which).order.id
        self.attempt(orders.heartbeat, caller=self.seller.caller, order_id=order_id)

    @rule(which=ORDERS, action=st.sampled_from(["pause", "resume", "cancel"]))
    def control_the_whole_session(self, which: int, action: Action) -> None:
        self.attempt(
            orders.control,
            caller=self.overseer.caller,
            session_id=self.at(which).order.session_id,
            request=Control(action=action, scope="all", reason="because"),
        )

    @rule(which=ORDERS, action=st.sampled_from(["status", "refund"]))
    def ask_support(self, which: int, action: Literal["status", "refund"]) -> None:
        at = self.at(which)
        self.attempt(
            orders.support,
            caller=at.buyer.caller,
            order_id=at.order.id,
            request=AskSupport(action=action),
        )

    @rule(seconds=st.sampled_from([1, 1, 20, 35, 60, 700, 4_000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        self.store.write_now(orders.follow_leases)
        for order_id in self.store.read_now(orders.due):
            self.store.write_now(orders.expire, order_id=order_id)
        self.store.write_now(orders.answer_unanswered)

    @rule()
    def the_house_folds(self) -> None:
        self.store.write_now(ledger.fold_house)

    @invariant()
    def money_is_conserved(self) -> None:
        assert self.store.read_now(holdings) == 0

    @invariant()
    def the_audit_finds_nothing(self) -> None:
        assert self.store.read_now(audit) == []

    @invariant()
    def the_parts_of_an_order_make_up_its_whole(self) -> None:
        for at in self.placed:
            now = self.now(at)
            whole = now.amount_minor if now.state in orders.ENDED else 0
            assert now.captured_minor + now.returned_minor == whole
            due = split(now.captured_minor, fee_basis_points=FEE_BASIS_POINTS)
            assert now.fee_minor == due.fee_minor
            self.what_went_back_was_paid(now)

    def what_went_back_was_paid(self, now: OrderView) -> None:
        """Nothing, or all of it: what the policy of these sellers gives back."""
        assert now.refunded_minor in (0, now.captured_minor)

    @invariant()
    def the_mandate_is_kept(self) -> None:
        for mandate_id in self.mandate_ids.values():
            given = self.store.read_now(
                mandates.mandate, caller=self.principal.caller, mandate_id=mandate_id
            )
            assert 0 <= given.spent_minor <= BUDGET_MINOR

    async def enter(self) -> None:
        store = self.store
        self.seller = await enter(store, "acme", "seller")
        self.free = await enter(store, "thrifty", "buyer")
        self.principal = await enter(store, "boss", "principal")
        self.bound = await enter(store, "clerk", "buyer", self.principal.id)
        # The settings name overseers before the market starts; this one is made by hand.
        self.overseer = await enter(store, "warden", "principal")
        caller = self.overseer.caller._replace(kind="overseer", scopes=OVERSEER_SCOPES)
        self.overseer = self.overseer._replace(caller=caller)
        per_unit = {"per": "unit", "amount": "0.09", "currency": "XTS"}
        policies = {"refund": "within-window", "refund_window_seconds": 600}
        published = [
            await self.publish(manifest(policies=policies)),
            await self.publish(manifest(id="acme-rows", price=per_unit, policies=policies)),
        ]
        self.service_ids = published
        for buyer in (self.free, self.bound):
            await store.write(
                ledger.mint,
                agent_id=buyer.id,
                amount_minor=WALLET_MINOR,
                currency="XTS",
                idempotency_key="start",
            )
        given = await mandate(
            self.principal, self.bound, budget_minor=BUDGET_MINOR, approval_over_minor=380_000
        )
        self.mandate_ids = {self.bound.id: given.id}

    async def publish(self, tree: dict[str, Any]) -> str:
        signed = self.seller.signs(ManifestClaims, manifest=tree)
        service = await self.store.write(catalog.publish, caller=self.seller.caller, signed=signed)
        return service.id

    def at(self, which: int) -> Placed:
        return self.placed[which % len(self.placed)]

    def now(self, at: Placed) -> OrderView:
        return self.store.read_now(orders.order, caller=at.buyer.caller, order_id=at.order.id)

    def order(self, buyer: Party, quote: QuoteView) -> OrderView | None:
        signed = buyer.signs(
            OrderClaims,
            quote_id=quote.id,
            quote_digest=quote.digest,
            seller_id=quote.seller_id,
            amount_minor=quote.amount_minor,
            currency=quote.currency,
            mandate_id=self.mandate_ids.get(buyer.id),
        )
        request = PlaceOrder(quote_id=quote.id, commitment=signed.token)
        order: OrderView | None = self.attempt(
            orders.place, caller=buyer.caller, request=request, signed=signed
        )
        return order

    def intervene(self, which: int, action: Action, who: str) -> None:
        at = self.at(which)
        party = {"buyer": at.buyer, "seller": self.seller, "overseer": self.overseer}[who]
        self.attempt(
            orders.control,
            caller=party.caller,
            session_id=at.order.session_id,
            request=Control(action=action, order_id=at.order.id, reason="because"),
        )

    def deliver_chunk(self, at: Placed, index: int, units: int) -> None:
        chunk = Chunk(index=index, units=units, output=output(index))
        self.attempt(orders.deliver, caller=self.seller.caller, order_id=at.order.id, chunk=chunk)

    def attempt(self, verb: Any, **arguments: Any) -> Any:
        """Do it if it can be done; a refusal must leave no trace."""
        before = every_row(self.settings)
        try:
            return self.store.write_now(verb, **arguments)
        except MarketError:
            assert every_row(self.settings) == before
            return None
