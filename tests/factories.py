"""The smallest valid things, changed only where a test is about it.

``Party`` is an agent with its key, as the market knows it; it signs for itself. ``Town`` is a
market with a seller's service and a buyer with money: most tests begin there.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from market import catalog, identity, ledger, mandates, orders, reviews, sessions
from market.base.caller import Caller, Signed
from market.base.clock import seconds_of
from market.base.errors import MarketError
from market.base.store import Store
from market.protocol import commitments as signed_forms
from market.protocol.commitments import AgentKind, Claims, Limits
from market.protocol.delivery import chain
from market.protocol.signing import SigningKey
from market.protocol.wire import (
    AskQuote,
    Chunk,
    ChunkView,
    Control,
    ControlView,
    MandateView,
    OrderView,
    PlaceOrder,
    QuoteView,
    ReviewView,
    ServiceView,
)

TYPES = {claims: typ for typ, claims in signed_forms.CLAIMS.items()}
PAGES: dict[str, Any] = {"pages": ["1", "2", "3", "4"]}


def manifest(**changes: Any) -> dict[str, Any]:
    """A manifest that can be published: 0.40 a call, 4 pages are 4 units."""
    return {
        "manifest": 1,
        "id": "acme-pdf",
        "summary": "Extract tables from a PDF as JSON rows.",
        "tags": ["pdf", "table"],
        "price": {"per": "call", "amount": "0.40", "currency": "XTS"},
        "measure": {"unit": "page", "counts": "items", "of": "pages"},
        "input": {"type": "object", "required": ["pages"]},
        "output": {"type": "object", "required": ["rows"]},
        **changes,
    }


class Party(NamedTuple):
    """An agent and its key."""

    key: SigningKey
    caller: Caller
    store: Store

    @property
    def id(self) -> str:
        return self.caller.agent_id

    def signs(self, claims: type[Claims], **members: Any) -> Signed[Any]:
        """Return what this agent signs now, as the market opens it."""
        now = self.store.clock.now()
        members = {"iss": self.id, "aud": self.caller.issuer, "iat": seconds_of(now)} | members
        token = self.key.sign(claims(**members), typ=TYPES[claims])
        return self.caller.open(token, typ=TYPES[claims], claims=claims, now=now)


async def enter(
    store: Store, handle: str, kind: AgentKind, principal_id: str | None = None
) -> Party:
    """Register an agent under a new key."""
    key = SigningKey.generate()
    now = store.clock.now()
    claims = signed_forms.RegistrationClaims(
        iss=key.kid,
        aud=store.settings.issuer,
        iat=seconds_of(now),
        exp=seconds_of(now) + 60,
        jti=f"enter-{handle}",
        jwk=key.public.jwk,
        handle=handle,
        kind=kind,
        principal_id=principal_id,
    )
    token = key.sign(claims, typ=signed_forms.REGISTRATION)
    signed = identity.read_registration(token, issuer=store.settings.issuer, now=now)
    await store.write(identity.register, signed=signed)
    scopes = frozenset(identity.SCOPES[kind])
    caller = await store.read(identity.caller_of, agent_id=key.kid, scopes=scopes)
    return Party(key, caller, store)


async def publish(seller: Party, **changes: Any) -> ServiceView:
    """List a service; ``changes`` go into its manifest."""
    signed = seller.signs(signed_forms.ManifestClaims, manifest=manifest(**changes))
    return await seller.store.write(catalog.publish, caller=seller.caller, signed=signed)


async def control(by: Party, session_id: str, action: str, **more: Any) -> list[ControlView]:
    """Intervene in a session."""
    request = Control(action=action, **more)  # type: ignore[arg-type]
    return await by.store.write(
        orders.control, caller=by.caller, session_id=session_id, request=request
    )


async def log_of(by: Party, session_id: str) -> list[dict[str, Any]]:
    """The first 500 events of a session, as one reads them."""
    reading = await by.store.read(
        sessions.events, caller=by.caller, session_id=session_id, after=-1, limit=500
    )
    return [json.loads(event.json) for event in reading.events]


async def post_review(buyer: Party, order: OrderView, **said: Any) -> ReviewView:
    """Say that an order went well, or what is ``said``."""
    members = {"order_id": order.id, "receipt_id": order.receipt_id, "verdict": "good"} | said
    signed = buyer.signs(signed_forms.ReviewClaims, **members)
    return await buyer.store.write(reviews.post, caller=buyer.caller, signed=signed)


class Town(NamedTuple):
    """A market with one service, its seller, and a buyer."""

    store: Store
    buyer: Party
    seller: Party
    service: ServiceView

    async def quote(self, request: dict[str, Any] | None = None) -> QuoteView:
        """A price for the buyer."""
        ask = AskQuote(service_id=self.service.id, input=request or PAGES)
        return await self.store.write(catalog.quote, caller=self.buyer.caller, ask=ask)

    async def place(self, quote: QuoteView | None = None, **changes: Any) -> OrderView:
        """An order of the buyer's, over a new quote unless one is given.

        ``session_id`` continues a session; other changes go into the signed order.
        """
        quote = quote or await self.quote()
        session_id = changes.pop("session_id", None)
        signed = self.buyer.signs(
            signed_forms.OrderClaims,
            **{
                "quote_id": quote.id,
                "quote_digest": quote.digest,
                "seller_id": quote.seller_id,
                "amount_minor": quote.amount_minor,
                "currency": quote.currency,
                **changes,
            },
        )
        request = PlaceOrder(quote_id=quote.id, commitment=signed.token, session_id=session_id)
        return await self.store.write(
            orders.place, caller=self.buyer.caller, request=request, signed=signed
        )

    async def deliver(self, order: OrderView, index: int = 0, units: int = 1) -> ChunkView:
        """One chunk from the seller."""
        chunk = Chunk(index=index, units=units, output=output(index))
        return await self.store.write(
            orders.deliver, caller=self.seller.caller, order_id=order.id, chunk=chunk
        )

    async def complete(self, order: OrderView) -> OrderView:
        """The seller's signed word that what is delivered is all."""
        now = await self.order(order)
        signed = self.seller.signs(
            signed_forms.DeliveryClaims,
            order_id=order.id,
            chunks=now.chunks_delivered,
            units=now.units_delivered,
            digest=digest_of(now.chunks_delivered),
        )
        return await self.store.write(
            orders.complete, caller=self.seller.caller, order_id=order.id, signed=signed
        )

    async def accept(self, order: OrderView) -> OrderView:
        """The buyer takes the delivery as good."""
        return await self.store.write(orders.accept, caller=self.buyer.caller, order_id=order.id)

    async def settled(self) -> OrderView:
        """A whole purchase: placed, delivered in two chunks, accepted."""
        order = await self.place()
        for index in range(2):
            await self.deliver(order, index, units=2)
        await self.complete(order)
        return await self.accept(order)

    async def order(self, order: OrderView) -> OrderView:
        """The order as it now stands."""
        return await self.store.read(orders.order, caller=self.buyer.caller, order_id=order.id)

    async def control(
        self, session_id: str, action: str, by: Party | None = None, **more: Any
    ) -> list[ControlView]:
        """Somebody, or the buyer, intervenes in a session."""
        return await control(self._here(by), session_id, action, **more)

    async def log_of(self, session_id: str, by: Party | None = None) -> list[dict[str, Any]]:
        """The events of a session, as somebody, or the buyer, reads them."""
        return await log_of(self._here(by), session_id)

    def _here(self, party: Party | None) -> Party:
        """A party at this town's worker: a town may be looked at through another store."""
        return (party or self.buyer)._replace(store=self.store)

    async def available(self, party: Party) -> int:
        """What a party can spend, in minor units."""
        wallet = await self.store.read(ledger.wallet, agent_id=party.id)
        return sum(balance.available_minor for balance in wallet.balances)


async def build_town(
    store: Store, *, minor: int = 10_000_000, principal: Party | None = None, **changes: Any
) -> Town:
    """A seller with a service (``changes`` go into its manifest) and a buyer with money."""
    seller = await enter(store, "acme", "seller")
    buyer = await enter(store, "thrifty", "buyer", principal.id if principal else None)
    service = await publish(seller, **changes)
    if minor:
        await store.write(
            ledger.mint,
            agent_id=buyer.id,
            amount_minor=minor,
            currency="XTS",
            idempotency_key="start",
        )
    return Town(store, buyer, seller, service)


async def mandate(principal: Party, buyer: Party, **limits: Any) -> MandateView:
    """A mandate for a day, with these limits."""
    store = principal.store
    signed = principal.signs(
        signed_forms.MandateClaims,
        exp=seconds_of(store.clock.now()) + 86_400,
        jti=f"mandate-{len(limits)}",
        buyer_id=buyer.id,
        currency="XTS",
        limits=msgspec.convert(limits, Limits),
    )
    return await store.write(mandates.give, caller=principal.caller, signed=signed)


def decision(by: Party, order: OrderView, verdict: str = "approve", **changes: Any) -> str:
    """A human's signed word on an order that waits."""
    claims = {
        "exp": seconds_of(by.store.clock.now()) + 60,
        "jti": f"decision-{order.id}",
        "order_id": order.id,
        "decision": verdict,
        "amount_minor": order.amount_minor,
        "currency": order.currency,
        **changes,
    }
    token: str = by.signs(signed_forms.DecisionClaims, **claims).token
    return token


def output(index: int) -> dict[str, Any]:
    """The output of chunk ``index``."""
    return {"rows": [f"row {index}"]}


def digest_of(chunks: int) -> str:
    """The digest of a delivery of ``chunks`` such outputs."""
    digest = ""
    for index in range(chunks):
        digest = chain(digest, output(index))
    return digest


async def race(
    count: int, attempt: Callable[[], Awaitable[Any]], *, collect: type[MarketError]
) -> list[MarketError]:
    """Try the same thing ``count`` times at once; return the refusals of kind ``collect``."""
    results = await asyncio.gather(*(attempt() for _ in range(count)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, collect):
            raise result
    return [result for result in results if isinstance(result, collect)]
