"""The agents under load: a principal with buyers under mandates, and sellers with services."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from bench.wire import Line, lines, request_of
from market.protocol import commitments as typ
from market.protocol.commitments import (
    AgentKind,
    Claims,
    Limits,
    MandateClaims,
    ManifestClaims,
    OrderClaims,
    RegistrationClaims,
)
from market.protocol.signing import SigningKey
from market.protocol.wire import (
    AskQuote,
    GiveMandate,
    MandateView,
    OpenSession,
    PlaceOrder,
    Publish,
    QuoteView,
    Register,
    Registered,
    ServiceView,
    SessionView,
)

View = TypeVar("View")

GRANT_MINOR: Final = 10**12
"""What each agent starts with: enough for every order of a run."""

ORDERS_IN_A_SESSION: Final = 8
INPUT: Final[dict[str, Any]] = {"pages": ["first page", "second page", "third page", "fourth"]}
OUTPUT: Final[dict[str, Any]] = {"rows": [f"cell {number}" for number in range(24)]}

SETTINGS: Final[dict[str, Any]] = {"signup_grant_minor": GRANT_MINOR, "quote_ttl_seconds": 3_600}
"""Settings of a market under load."""


class Agent:
    """An agent with its key; after ``enter``, with an access token."""

    def __init__(
        self, handle: str, kind: AgentKind, issuer: str, principal_id: str | None = None
    ) -> None:
        self.key = SigningKey.generate()
        self.token = ""
        self._issuer = issuer
        self._handle = handle
        self._kind = kind
        self._principal_id = principal_id

    @property
    def id(self) -> str:
        """The thumbprint of the key."""
        return self.key.kid

    def sign(self, purpose: str, claims: type[Claims], **members: Any) -> str:
        """Return a commitment for this market, made now."""
        made = claims(iss=self.id, aud=self._issuer, iat=int(time.time()), **members)
        return self.key.sign(made, typ=purpose)

    def registration(self) -> bytes:
        """Return the request that enters the market; it is good for ten minutes."""
        proof = self.sign(
            typ.REGISTRATION,
            RegistrationClaims,
            exp=int(time.time()) + 590,
            jti=f"enter-{self._handle}",
            jwk=self.key.public.jwk,
            handle=self._handle,
            kind=self._kind,
            principal_id=self._principal_id,
        )
        return request_of("POST", "/v1/agents", Register(proof=proof))

    def enter(self, answer: bytes) -> None:
        """Take the token out of the answer to the registration."""
        self.token = msgspec.json.decode(answer, type=Registered).token.access_token

    async def post(
        self, line: Line, path: str, body: Any, view: type[View], *, key: str | None = None
    ) -> View:
        """Create something and return it."""
        request = request_of("POST", path, body, token=self.token, key=key)
        return msgspec.json.decode(await line.call(request, expect=201), type=view)

    def order(
        self, quote: QuoteView, *, mandate_id: str | None = None, session_id: str | None = None
    ) -> PlaceOrder:
        """Return the signed order over a quote."""
        commitment = self.sign(
            typ.ORDER,
            OrderClaims,
            quote_id=quote.id,
            quote_digest=quote.digest,
            seller_id=quote.seller_id,
            amount_minor=quote.amount_minor,
            currency=quote.currency,
            mandate_id=mandate_id,
        )
        return PlaceOrder(quote_id=quote.id, commitment=commitment, session_id=session_id)


class Cast:
    """The agents of one market."""

    def __init__(self, issuer: str, *, buyers: int, sellers: int) -> None:
        self.issuer = issuer
        self.principal = Agent("principal", "principal", issuer)
        self.buyers = [
            Agent(f"buyer-{number}", "buyer", issuer, self.principal.id) for number in range(buyers)
        ]
        self.sellers = [Agent(f"seller-{number}", "seller", issuer) for number in range(sellers)]
        self.services: list[ServiceView] = []
        self.mandate_ids: list[str] = []

    async def enter(self, port: int) -> None:
        """Register everybody, publish a service of each seller, give each buyer a mandate."""
        await self.renew(port)
        async with lines(port, 1) as [line]:
            await self._set_up(line)

    async def renew(self, port: int) -> None:
        """Register everybody, or get a new token for who is in: one lasts five minutes."""
        async with lines(port, 1) as [line]:
            for agent in (self.principal, *self.buyers, *self.sellers):
                agent.enter(await line.call(agent.registration(), expect=201))

    async def _set_up(self, line: Line) -> None:
        for number, seller in enumerate(self.sellers):
            manifest = seller.sign(typ.MANIFEST, ManifestClaims, manifest=_manifest(number))
            service = await seller.post(
                line, "/v1/services", Publish(manifest=manifest), ServiceView, key=f"s{number}"
            )
            self.services.append(service)
        for number, buyer in enumerate(self.buyers):
            self.mandate_ids.append(await self._give_mandate(line, number, buyer))

    async def prepare_orders(self, port: int, number: int, label: str) -> "list[Prepared]":
        """Have every buyer open sessions and ask for quotes; return its signed orders in turn."""
        await self.renew(port)
        async with lines(port, len(self.buyers)) as opened:
            shares = await asyncio.gather(
                *(
                    self._prepare(line, place, number // len(self.buyers), label)
                    for place, line in enumerate(opened)
                )
            )
        return [prepared for turn in zip(*shares, strict=True) for prepared in turn]

    async def _prepare(self, line: Line, place: int, number: int, label: str) -> "list[Prepared]":
        buyer = self.buyers[place]
        prepared = []
        session_id = ""
        for turn in range(number):
            if turn % ORDERS_IN_A_SESSION == 0:
                opening = OpenSession(need="rows of a table")
                session = await buyer.post(
                    line, "/v1/sessions", opening, SessionView, key=f"{label}-s{turn}"
                )
                session_id = session.id
            service = self.services[(place + turn) % len(self.services)]
            ask = AskQuote(service_id=service.id, input=INPUT)
            quote = await buyer.post(line, "/v1/quotes", ask, QuoteView)
            order = buyer.order(quote, mandate_id=self.mandate_ids[place], session_id=session_id)
            prepared.append(Prepared(buyer, order, f"{label}-{turn}"))
        return prepared

    async def _give_mandate(self, line: Line, number: int, buyer: Agent) -> str:
        signed = self.principal.sign(
            typ.MANDATE,
            MandateClaims,
            exp=int(time.time()) + 86_400,
            jti=f"mandate-{number}",
            buyer_id=buyer.id,
            currency="XTS",
            limits=Limits(
                max_price_minor=10**7,
                budget_minor=GRANT_MINOR,
                period_budget_minor=GRANT_MINOR,
                period_seconds=3_600,
                sellers_allow=[seller.id for seller in self.sellers],
                tags_allow=["pdf", "table"],
            ),
        )
        view = await self.principal.post(
            line, "/v1/mandates", GiveMandate(mandate=signed), MandateView, key=f"m{number}"
        )
        return view.id


class Prepared(msgspec.Struct, frozen=True):
    """A signed order that waits for its slice."""

    buyer: Agent
    order: PlaceOrder
    key: str

    def request(self) -> bytes:
        """Return the bytes that place it."""
        return request_of("POST", "/v1/orders", self.order, token=self.buyer.token, key=self.key)


def requests_of(prepared: Sequence[Prepared]) -> list[bytes]:
    """Return the requests of prepared orders."""
    return [each.request() for each in prepared]


def _manifest(number: int) -> dict[str, Any]:
    return {
        "manifest": 1,
        "id": f"tables-{number}",
        "summary": f"Extract tables from a PDF as rows, in style {number}.",
        "tags": ["pdf", "table"],
        "price": {"per": "unit", "amount": "0.10", "currency": "XTS"},
        "measure": {"unit": "page", "counts": "items", "of": "pages"},
        "input": {
            "type": "object",
            "required": ["pages"],
            "properties": {"pages": {"type": "array", "items": {"type": "string"}}},
        },
        "output": {
            "type": "object",
            "required": ["rows"],
            "properties": {"rows": {"type": "array", "items": {"type": "string"}}},
        },
        "policies": {"refund": "within-window", "refund_window_seconds": 3_600},
    }
