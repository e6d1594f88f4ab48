"""An agent as the wire sees it: a key, a token, and plain HTTP requests."""

from itertools import count
from typing import Any, Self

import httpx
import msgspec

from market.base.clock import Clock, seconds_of
from market.protocol import commitments
from market.protocol.commitments import AgentKind, Claims
from market.protocol.delivery import chain
from market.protocol.signing import SigningKey

TYPES = {claims: typ for typ, claims in commitments.CLAIMS.items()}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PAGES: dict[str, Any] = {"pages": ["1", "2", "3", "4"]}

_numbers = count(1)


def nonce() -> str:
    return f"nonce-{next(_numbers):08}"


class Agent:
    """One agent of one market. Answers are httpx responses: the tests look at the wire."""

    def __init__(
        self, http: httpx.AsyncClient, issuer: str, clock: Clock, key: SigningKey | None = None
    ) -> None:
        self.http = http
        self.issuer = issuer
        self.clock = clock
        self.key = key or SigningKey.generate()
        self.id = self.key.kid
        self.token = ""

    @property
    def now(self) -> int:
        return seconds_of(self.clock.now())

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    def sign(self, claims: type[Claims], **members: Any) -> str:
        members = {"iss": self.id, "aud": self.issuer, "iat": self.now} | members
        return self.key.sign(claims(**members), typ=TYPES[claims])

    def registration(self, handle: str, kind: AgentKind, **members: Any) -> str:
        members = {"exp": self.now + 60, "jti": nonce(), "jwk": self.key.public.jwk} | members
        return self.sign(commitments.RegistrationClaims, handle=handle, kind=kind, **members)

    async def enter(self, handle: str, kind: AgentKind, **members: Any) -> Self:
        proof = self.registration(handle, kind, **members)
        answer = await self.http.post("/v1/agents", json={"proof": proof})
        assert answer.status_code == 201, answer.text
        self.token = answer.json()["token"]["access_token"]
        return self

    def assertion(self, **members: Any) -> str:
        claims = {
            "iss": self.id,
            "sub": self.id,
            "aud": self.issuer,
            "iat": self.now,
            "exp": self.now + 60,
            "jti": nonce(),
        } | members
        return self.key.sign(claims, typ="JWT")

    async def ask_token(self, assertion: str | None = None, **fields: str) -> httpx.Response:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion or self.assertion(),
        } | fields
        return await self.http.post("/oauth/token", data=form)

    async def get(self, path: str, **changes: Any) -> httpx.Response:
        return await self.http.get(path, headers=self.bearer, **changes)

    async def post(
        self, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        sent = {
            **self.bearer,
            "content-type": "application/json",
            "idempotency-key": key or nonce(),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return await self.http.post(path, content=content, headers=sent)

    async def put(self, path: str, body: Any) -> httpx.Response:
        return await self.http.put(path, json=body, headers=self.bearer)

    async def made(self, path: str, body: Any, **changes: Any) -> Any:
        """Post, and return what was made."""
        answer = await self.post(path, body, **changes)
        assert answer.is_success, answer.text
        return answer.json()

    # What most stories need

    async def publish(self, manifest: dict[str, Any]) -> Any:
        token = self.sign(commitments.ManifestClaims, manifest=manifest)
        return await self.made("/v1/services", {"manifest": token})

    async def quote(self, service_id: str, request: Any = None, **members: Any) -> Any:
        ask = {"service_id": service_id, "input": request or PAGES, **members}
        return await self.made("/v1/quotes", ask)

    def order(self, quote: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The body of an order over ``quote``; ``changes`` go into what is signed."""
        claims = {
            "quote_id": quote["id"],
            "quote_digest": quote["digest"],
            "seller_id": quote["seller_id"],
            "amount_minor": quote["amount_minor"],
            "currency": quote["currency"],
            **changes,
        }
        commitment = self.sign(commitments.OrderClaims, **claims)
        return {"quote_id": quote["id"], "commitment": commitment}

    async def deliver(self, order_id: str, index: int, units: int = 1) -> httpx.Response:
        chunk = {"index": index, "units": units, "output": output(index)}
        return await self.post(f"/v1/orders/{order_id}/chunks", chunk)

    async def complete(self, order_id: str, chunks: int, units: int) -> httpx.Response:
        digest = ""
        for index in range(chunks):
            digest = chain(digest, output(index))
        commitment = self.sign(
            commitments.DeliveryClaims,
            order_id=order_id,
            chunks=chunks,
            units=units,
            digest=digest,
        )
        return await self.post(f"/v1/orders/{order_id}/complete", {"commitment": commitment})


def output(index: int) -> dict[str, Any]:
    return {"rows": [[index, "cell"]]}
