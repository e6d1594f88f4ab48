"""Who uses the market while it is killed: buyers with and without mandates, sellers, an overseer.

Every request is made once and remembered (``asking``); a journey that the market's death cut off is
not gone on with, so that its hold must end by its deadline.
"""

import asyncio
from contextlib import suppress
from random import Random
from typing import Any, Final, NamedTuple

from buyer_agents import MarketClient, Producer
from market.protocol import commitments as signed
from market.protocol import wire
from market.protocol.commitments import Limits
from market.protocol.signing import SigningKey
from market.protocol.wire import OrderView, QuoteView, ReviewView, ServiceView
from tests.crash.asking import MarketGone, Witness
from tests.factories import PAGES, digest_of, manifest, output

START_MINOR: Final = 3_000_000
BUDGET_MINOR: Final = 900_000_000
CHUNKS: Final = 2
JOURNEYS: Final = 2
"""How many purchases each buyer has under way at once."""

FATES: Final = (
    "cancelled", "lapsed", "part delivered and lapsed", "part delivered and cancelled", "failed",
    "accepted by deadline", "settled", "settled", "reviewed", "refunded",
)  # fmt: skip
REFUNDABLE: Final = {"refund": "within-window", "refund_window_seconds": 3_600}
OVERSEER: Final = SigningKey.generate()
SETTINGS: Final = {
    "accept_window_seconds": 1,
    "bond_orders": 0,
    "log_level": "error",
    "overseer_ids": OVERSEER.kid,
}
"""Deadlines so short that holds expire while the market lies dead, and while it recovers. What its
sellers owe then would freeze them, or ask for bonds: so there are new ones in every life.
"""

SHOPS: Final = 8
"""Services that people buy from: the newest."""


class Person(NamedTuple):
    """An agent: its key, and its memory of what it asked and was told."""

    key: SigningKey
    witness: Witness
    kind: signed.AgentKind
    principal_id: str | None = None


class People:
    """The people of one market, over all its lives."""

    def __init__(self, chance: Random, on_answer: Any) -> None:
        self._chance = chance
        self._on_answer = on_answer
        self._clients: dict[str, MarketClient] = {}
        self.persons: dict[str, Person] = {}
        self.services: list[ServiceView] = []
        self.mandate_ids: dict[str, str] = {}
        self.session_ids: dict[str, str] = {}
        self._notes: dict[str, int] = {}

    def of_kind(self, kind: str) -> list[Person]:
        return [person for person in self.persons.values() if person.kind == kind]

    async def connect(self, url: str, patience_seconds: float) -> None:
        """Give everybody a way to the market of their own, and none of before."""
        await self.disconnect()
        self._clients = {
            handle: MarketClient(url, person.key, patience_seconds=patience_seconds)
            for handle, person in self.persons.items()
        }

    async def disconnect(self) -> None:
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))
        self._clients = {}

    def client(self, handle: str) -> MarketClient:
        return self._clients[handle]

    async def settle_in(self, url: str) -> None:
        """Register, publish, fund, allow: everything before the first purchase."""
        boss = self._know("boss", "principal")
        self._know("warden", "overseer", key=OVERSEER)
        for number in range(6):
            principal_id = boss.key.kid if number % 2 else None
            self._know(f"buyer-{number}", "buyer", principal_id)
        await self.connect(url, patience_seconds=30.0)
        for person in self.persons.values():
            await self._register(person)
        await self._open_shops()
        for buyer in self.of_kind("buyer"):
            await self._fund(buyer, START_MINOR)
            session = await self._create(buyer, "session", lambda market, key: market.open_session(
                "pages", idempotency_key=key
            ))  # fmt: skip
            if session is not None:
                self.session_ids[buyer.witness.handle] = session.id
            if buyer.principal_id is not None:
                await self._allow(boss, buyer)

    async def live(self) -> None:
        """Buy, deliver, write and fund until the market is gone."""
        doings = [self._shop(buyer) for buyer in self.of_kind("buyer") for _ in range(JOURNEYS)]
        doings += [self._write(buyer) for buyer in self.of_kind("buyer")]
        doings += [self._come_and_give(), self._open_shops()]
        await asyncio.gather(*(self._until_gone(doing) for doing in doings))

    async def _until_gone(self, doing: Any) -> None:
        with suppress(MarketGone):
            await doing

    async def _shop(self, buyer: Person) -> None:
        while True:
            fate = self._chance.choice(FATES)
            service = self._chance.choice(self.services[-SHOPS:])
            quote = await self._create(buyer, "quote", lambda market, key, at=service: (
                market.ask_quote(at.id, PAGES, idempotency_key=key)
            ))  # fmt: skip
            order = None if quote is None else await self._place(buyer, quote)
            if order is None:
                # Its money, or its seller's time, is in other orders, which end soon.
                await asyncio.sleep(0.05)
            elif await self._deliver(buyer, order, fate):
                await self._use(buyer, order, fate)

    async def _place(self, buyer: Person, quote: QuoteView) -> OrderView | None:
        market = self.client(buyer.witness.handle)
        token = await market.sign(
            signed.ORDER, signed.OrderClaims, quote_id=quote.id, quote_digest=quote.digest,
            seller_id=quote.seller_id, amount_minor=quote.amount_minor, currency=quote.currency,
            mandate_id=self.mandate_ids.get(buyer.witness.handle),
        )  # fmt: skip
        body = wire.PlaceOrder(quote_id=quote.id, commitment=token)
        order: OrderView | None = await self._create(
            buyer, "place", lambda market, key: market.create("/v1/orders", OrderView, body, key)
        )
        return order

    async def _deliver(self, buyer: Person, order: OrderView, fate: str) -> bool:
        """Do the seller's part as ``fate`` has it; return whether all is delivered."""
        seller = next(
            person for person in self.of_kind("seller") if person.key.kid == order.seller_id
        )
        if fate == "lapsed":
            return False
        if fate == "failed":
            await seller.witness.ask("fail", lambda market: market.fail(order.id, "no paper"))
            return False
        chunks = 0 if fate == "cancelled" else 1 if fate.startswith("part") else CHUNKS
        for index in range(chunks):
            await seller.witness.ask("chunk", lambda market, at=index: market.chunk(
                order.id, at, output(at), units=2
            ))  # fmt: skip
        if fate.endswith("cancelled"):
            await self._create(buyer, "cancel", lambda market, key: market.control(
                order.session_id, "cancel", order_id=order.id, idempotency_key=key
            ))  # fmt: skip
        if chunks < CHUNKS:
            return False
        done = await seller.witness.ask("complete", lambda market: market.complete(
            order.id, chunks=CHUNKS, units=2 * CHUNKS, delivery_digest=digest_of(CHUNKS)
        ))  # fmt: skip
        return done is not None

    async def _use(self, buyer: Person, order: OrderView, fate: str) -> None:
        """Accept, and then what ``fate`` has in store."""
        if fate == "accepted by deadline":
            return
        settled = await buyer.witness.ask("accept", lambda market: market.accept(order.id))
        if settled is None or fate == "settled":
            return
        if fate == "refunded":
            await self._create(buyer, "refund", lambda market, key: market.support(
                order.id, "refund", idempotency_key=key
            ))  # fmt: skip
            return
        token = await self.client(buyer.witness.handle).sign(
            signed.REVIEW, signed.ReviewClaims, order_id=order.id, receipt_id=settled.receipt_id,
            verdict="good", comment=f"of {order.id}", tags=[],
        )  # fmt: skip
        body = wire.PostReview(commitment=token)
        await self._create(
            buyer, "review", lambda market, key: market.create("/v1/reviews", ReviewView, body, key)
        )

    async def _write(self, buyer: Person) -> None:
        """Write into one's own session, note after note, as a producer does."""
        handle = buyer.witness.handle
        while True:
            sequence = self._notes.get(handle, 0)
            self._notes[handle] = sequence + 1
            note = wire.WriteEvent(kind="note.written", body={"text": f"note {sequence}"})
            producer = Producer(handle, 0, sequence)
            await buyer.witness.ask("note", lambda market, event=note, by=producer: (
                market.write_events(self.session_ids[handle], [event], producer=by)
            ))  # fmt: skip
            await asyncio.sleep(0.02)

    async def _come_and_give(self) -> None:
        """The overseer gives money, and strangers enter."""
        while True:
            await self._fund(self._chance.choice(self.of_kind("buyer")), 500_000)
            stranger = f"stranger-{len(self.persons)}"
            await self._enter(self._know(stranger, "buyer"))
            await asyncio.sleep(0.1)

    async def _open_shops(self) -> None:
        """Two new sellers enter and publish, one in more of a hurry than the other."""
        for seconds in (1, 2):
            seller = self._know(f"seller-{len(self.of_kind('seller'))}", "seller")
            await self._enter(seller)
            await self._publish(seller, seconds)

    async def _enter(self, person: Person) -> None:
        """Register somebody new, in the middle of things."""
        warden = self.client("warden")
        self._clients[person.witness.handle] = MarketClient(
            warden.url, person.key, patience_seconds=warden.patience_seconds
        )
        await self._register(person)

    def _know(
        self,
        handle: str,
        kind: signed.AgentKind,
        principal_id: str | None = None,
        key: SigningKey | None = None,
    ) -> Person:
        witness = Witness(handle, lambda: self._clients[handle], self._on_answer)
        # Strangers are many, and buy nothing.
        kind_kept: Any = "stranger" if handle.startswith("stranger") else kind
        person = Person(key or SigningKey.generate(), witness, kind_kept, principal_id)
        self.persons[handle] = person
        return person

    async def _create(self, person: Person, kind: str, send: Any) -> Any:
        """Ask for something under a key of its own."""
        key = person.witness.new_key()
        return await person.witness.ask(kind, lambda market: send(market, key), key=key)

    async def _register(self, person: Person) -> None:
        kind: Any = "buyer" if person.kind == "stranger" else person.kind
        handle = person.witness.handle
        await person.witness.ask(
            "register", lambda market: market.register(handle, kind, person.principal_id)
        )

    async def _publish(self, seller: Person, deliver_seconds: int) -> None:
        market = self.client(seller.witness.handle)
        for per, amount in (("call", "0.40"), ("unit", "0.11")):
            tree = manifest(
                id=f"{seller.witness.handle}-{per}",
                price={"per": per, "amount": amount, "currency": "XTS"},
                limits={"deliver_seconds": deliver_seconds},
                policies=REFUNDABLE,
            )
            token = await market.sign(signed.MANIFEST, signed.ManifestClaims, manifest=tree)
            body = wire.Publish(manifest=token)
            service = await self._create(seller, "publish", lambda market, key, body=body: (
                market.create("/v1/services", ServiceView, body, key)
            ))  # fmt: skip
            if service is not None:
                self.services.append(service)

    async def _fund(self, buyer: Person, amount_minor: int) -> None:
        warden = self.persons["warden"]
        await self._create(warden, f"fund {buyer.witness.handle} {amount_minor}", (
            lambda market, key: market.fund(
                buyer.key.kid, amount_minor, "XTS", idempotency_key=key
            )
        ))  # fmt: skip

    async def _allow(self, boss: Person, buyer: Person) -> None:
        limits = Limits(
            budget_minor=BUDGET_MINOR, period_budget_minor=BUDGET_MINOR, period_seconds=5
        )
        market = self.client("boss")
        token = await market.sign(
            signed.MANDATE, signed.MandateClaims, exp=market.moment() + 86_400,
            jti=market.nonce(), buyer_id=buyer.key.kid, currency="XTS", limits=limits,
        )  # fmt: skip
        body = wire.GiveMandate(mandate=token)
        given = await self._create(boss, "mandate", lambda market, key: (
            market.create("/v1/mandates", wire.MandateView, body, key)
        ))  # fmt: skip
        if given is not None:
            self.mandate_ids[buyer.witness.handle] = given.id
