"""A market in process with a principal and a buyer that have P-256 keys, and a seller."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from litestar import Litestar

from buyer_agents import MarketClient, Refused
from market.app import Seams, create_app
from market.base.clock import ManualClock
from market.base.settings import Settings
from market.base.store import Store
from market.protocol import commitments as signed_forms
from market.protocol.commitments import AgentKind
from market.protocol.signing import SigningKey, VerifyingKey
from market.protocol.wire import (
    Ap2Closed,
    CheckoutView,
    GiveAp2Mandate,
    MandateView,
    OrderView,
    PlaceOrder,
    QuoteView,
    ServiceView,
)
from tests import ap2_by_hand as hand
from tests.contract.conftest import OVERSEER, START, no_turn
from tests.factories import PAGES, digest_of, manifest, output

PRICE = 400_000
MINOR = 10_000_000
BUDGET = {"type": "payment.budget", "currency": "XTS", "max": 10 * PRICE}


def up_to(most: int, least: int = 0) -> dict[str, Any]:
    return {"type": "payment.amount_range", "currency": "XTS", "max": most, "min": least}


def recurring(frequency: str = "ON_DEMAND", times: int | None = None) -> dict[str, Any]:
    rule = {"type": "payment.agent_recurrence", "frequency": frequency}
    return rule if times is None else {**rule, "max_occurrences": times}


async def refused(act: Awaitable[Any]) -> Refused:
    """Return the refusal that comes of an act."""
    with pytest.raises(Refused) as found:
        await act
    return found.value


def signing_key(private: EllipticCurvePrivateKey) -> SigningKey:
    return SigningKey(private)


class Ap2Town:
    """The market, who is there, and the keys with which mandates are made by hand."""

    user = hand.key(11)
    agent = hand.key(12)

    def __init__(self, app: Litestar, settings: Settings, clock: ManualClock) -> None:
        self.app = app
        self.settings = settings
        self.clock = clock
        self.principal: MarketClient
        self.buyer: MarketClient
        self.seller: MarketClient
        self.overseer: MarketClient
        self.service: ServiceView

    @property
    def store(self) -> Store:
        store: Store = self.app.state.desk.store
        return store

    @property
    def merchant(self) -> dict[str, str]:
        return {"id": self.seller.agent_id, "name": "acme"}

    async def enter(
        self, stack: AsyncExitStack, handle: str, kind: AgentKind, key: SigningKey, **more: Any
    ) -> MarketClient:
        transport = httpx.ASGITransport(self.app)
        made = MarketClient(
            self.settings.issuer,
            key,
            http=lambda url: httpx.AsyncClient(transport=transport, base_url=url),
            now=lambda: self.clock.now().timestamp(),
        )
        client = await stack.enter_async_context(made)
        await client.register(handle, kind, **more)
        return client

    # Mandates by our own client

    async def give(
        self, *constraints: dict[str, Any], seconds: int = 3_600, **more: Any
    ) -> MandateView:
        return await self.principal.give_ap2_mandate(
            self.buyer.agent_id,
            constraints,
            agent_jwk=self.buyer.key.public.jwk,
            seconds=seconds,
            **more,
        )

    async def buy(self, mandate: MandateView, **more: Any) -> OrderView:
        return await self.buyer.place_ap2_order(await self.quote(), mandate.id, **more)

    async def quote(self) -> QuoteView:
        return await self.buyer.ask_quote(self.service.id, PAGES)

    async def settle(self, order: OrderView) -> OrderView:
        await self.seller.chunk(order.id, 0, output(0), units=4)
        await self.seller.complete(order.id, chunks=1, units=4, delivery_digest=digest_of(1))
        return await self.buyer.accept(order.id)

    async def available(self) -> int:
        [balance] = (await self.buyer.wallet()).balances
        return balance.available_minor

    # Mandates by hand

    def by_hand(self) -> dict[str, Any]:
        """What makes a mandate by hand one of this town: its key is named as the market does."""
        kid = VerifyingKey(hand.public(self.user)).kid
        return {"payees": (), "header": {"kid": kid}, **self.rules()}

    def rules(self) -> dict[str, Any]:
        return {"constraints": [up_to(PRICE), BUDGET, recurring()]}

    async def post_mandate(self, payment: str, **changes: Any) -> MandateView:
        body = GiveAp2Mandate(
            **{"buyer_id": self.buyer.agent_id, "payment": payment, "checkout": None, **changes}
        )
        return await self.principal.create("/v1/mandates/ap2", MandateView, body)

    def closed_by_hand(
        self, mandate: MandateView, checkout: CheckoutView, **changes: Any
    ) -> dict[str, Any]:
        """The claims of a closed payment mandate, as an outsider would write them."""
        return hand.closed_payment(
            **{
                "transaction_id": hand.hash_of(checkout.checkout_jwt),
                "payee": self.merchant,
                "payment_amount": checkout.payment_amount,
                "payment_instrument": checkout.payment_instrument,
                **changes,
            }
        )

    async def post_order(
        self, quote: QuoteView, mandate_id: str | None, closed: Ap2Closed | None
    ) -> OrderView:
        """Send an order with whatever is to close its mandate."""
        commitment = await self.buyer.sign(
            signed_forms.ORDER, signed_forms.OrderClaims, quote_id=quote.id,
            quote_digest=quote.digest, seller_id=quote.seller_id, amount_minor=quote.amount_minor,
            currency=quote.currency, mandate_id=mandate_id,
        )  # fmt: skip
        body = PlaceOrder(quote_id=quote.id, commitment=commitment, ap2=closed)
        return await self.buyer.create("/v1/orders", OrderView, body)


@asynccontextmanager
async def open_ap2_town(settings: Settings) -> AsyncIterator[Ap2Town]:
    """Open it. Time stands until it is moved by hand."""
    clock = ManualClock(START)
    settings = settings.with_(
        issuer=hand.AUDIENCE, signup_grant_minor=MINOR, overseer_ids=(OVERSEER.kid,)
    )
    app = create_app(settings, seams=Seams(clock=clock, pause=no_turn))
    town = Ap2Town(app, settings, clock)
    async with app.lifespan(), AsyncExitStack() as stack:
        town.principal = await town.enter(stack, "firm", "principal", signing_key(town.user))
        town.buyer = await town.enter(
            stack, "thrifty", "buyer", signing_key(town.agent), principal_id=town.principal.agent_id
        )
        town.seller = await town.enter(stack, "acme", "seller", SigningKey.generate())
        town.overseer = await town.enter(stack, "watch", "overseer", OVERSEER)
        town.service = await town.seller.publish(manifest())
        yield town


def read_checkout(town: Ap2Town, checkout: CheckoutView) -> dict[str, Any]:
    """What the market signed, read with bare PyJWT."""
    key = jwt.PyJWK(town.store.merchant_key.public.jwk).key
    claims: dict[str, Any] = jwt.decode(
        checkout.checkout_jwt, key, algorithms=["ES256"], options={"verify_exp": False}
    )
    return claims
