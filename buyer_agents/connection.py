"""The way to one market: tokens, retries where they are safe, and answers of the agreed form."""

import secrets
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import anyio
import httpx
import msgspec
import stamina

from buyer_agents.errors import BadAnswer, MarketUnreachable, NotAMarket, Refused, refusal
from market.protocol import commitments
from market.protocol.signing import BadSignature, SigningKey, VerifyingKey, read_header
from market.protocol.wire import TokenView

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS: Final = 60
EARLY_SECONDS: Final = 20
"""A token is renewed this long before it expires."""

MAX_WAIT_SECONDS: Final = 2.0
MAX_RETRY_AFTER_SECONDS: Final = 30.0
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
JSON: Final = {"Content-Type": "application/json"}
READ_SECONDS: Final = 45.0
"""How long an answer may be silent: a long poll waits for 30 seconds, and a stream is heard from
every 15, so that one which misses three heartbeats is dead.
"""

_NOTHING_THERE: Final = "http_404"
"""The code of a 404 that is no problem document, and so not the market's."""

HTTP_UNAUTHORIZED: Final = 401
HTTP_LIMITED: Final = 429
HTTP_BUSY: Final = (HTTP_LIMITED, 503)

Answer = TypeVar("Answer")
SignedClaims = TypeVar("SignedClaims", bound=msgspec.Struct)
Query = Mapping[str, str | int | float | list[str] | None]


class Metadata(msgspec.Struct, frozen=True):
    """The part of the authorization server's metadata (RFC 8414) that a client needs."""

    issuer: str


class Jwk(msgspec.Struct, frozen=True):
    """A key of a published set; members beyond the key itself are left out."""

    kty: str
    crv: str
    x: str
    y: str | None = None


class JwkSet(msgspec.Struct, frozen=True):
    keys: list[Jwk]


def open_http(url: str, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Return an HTTP client for the market at ``url``. It ignores the environment's proxies."""
    return httpx.AsyncClient(
        base_url=url,
        transport=transport,
        timeout=httpx.Timeout(30.0, connect=5.0, read=READ_SECONDS),
        limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
        trust_env=False,
        # To load the authorities takes 20 ms, and without TLS nobody is asked for one.
        verify=url.startswith("https:"),
    )


def new_nonce() -> str:
    """Return an unguessable name for one request or proof."""
    return secrets.token_urlsafe(16)


class Connection:
    """One agent's authenticated way to one market.

    The key proves who speaks; nothing else is kept between runs. ``now`` is the clock in seconds
    since 1970 (a simulated market needs its own) and ``nonce`` the source of idempotency keys and
    proof ids. ``patience_seconds`` bounds how long a call that may be repeated is repeated.
    ``dial`` returns a socket that is connected, where ``http`` does not reach the market by its
    address. ``opens`` is that ``http``, for another client of the same world.
    """

    def __init__(
        self,
        url: str,
        key: SigningKey,
        *,
        agent_id: str | None = None,
        http: Callable[[str], httpx.AsyncClient] = open_http,
        now: Callable[[], float] = time.time,
        nonce: Callable[[], str] = new_nonce,
        dial: Callable[[str], socket.socket] | None = None,
        patience_seconds: float = 30.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.key = key
        self.agent_id = agent_id or key.kid
        self.nonce = nonce
        self.patience_seconds = patience_seconds
        self.now = now
        self.dial = dial
        self.opens = http
        self._http = http(self.url)
        self._token: str | None = None
        self._renew_at = 0.0
        self._renewal = anyio.Lock()
        self._issuer: str | None = None
        self._market_keys: dict[str, VerifyingKey] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. The agent stays registered and its sessions stay open."""
        await self._http.aclose()

    async def issuer(self) -> str:
        """Return the market's name in commitments, read once from its metadata.

        Raises:
            NotAMarket: there is none, or it is not of its form.
        """
        if self._issuer is None:
            path = "/.well-known/oauth-authorization-server"
            self._issuer = (await self._published(path, Metadata)).issuer
        return self._issuer

    async def _published(self, path: str, answer: type[Answer]) -> Answer:
        """Return what every market publishes to everybody."""
        try:
            return await self.call("GET", path, answer, authenticated=False)
        except BadAnswer as error:
            raise NotAMarket(str(error)) from error
        except Refused as error:
            if error.code != _NOTHING_THERE:
                raise
            raise NotAMarket(str(error)) from error

    async def sign(self, typ: str, claims: type[SignedClaims], **members: Any) -> str:
        """Return ``members`` as a commitment of this agent to this market, made now."""
        filled = claims(iss=self.agent_id, aud=await self.issuer(), iat=self.moment(), **members)
        return self.key.sign(filled, typ=typ)

    def moment(self) -> int:
        """Return the time in whole seconds, as commitments carry it."""
        return int(self.now())

    async def published_keys(self, path: str) -> dict[str, VerifyingKey]:
        """Return the keys of a published JWK set by key id.

        Raises:
            NotAMarket: there is no set, or it is not of its form.
        """
        published = await self._published(path, JwkSet)
        keys = [VerifyingKey(msgspec.to_builtins(jwk)) for jwk in published.keys]
        return {key.kid: key for key in keys}

    async def read_market(
        self, token: str, *, typ: str, claims: type[SignedClaims]
    ) -> SignedClaims:
        """Return the claims of a token that the market signed, such as a quote or a receipt.

        Raises:
            BadSignature: the market did not sign it for this purpose.
        """
        kid = read_header(token)["kid"]
        if kid not in self._market_keys:
            self._market_keys = await self.published_keys("/.well-known/jwks.json")
        return read_by(self._market_keys, token, typ=typ, claims=claims)

    def enter(self, token: TokenView) -> None:
        """Use an access token that the market just issued."""
        self._token = token.access_token
        self._renew_at = self.now() + token.expires_in - EARLY_SECONDS

    async def authorization(self, *, stale: str | None = None) -> str:
        """Return a bearer header; ``stale`` is one that the market no longer takes."""
        async with self._renewal:
            held = f"Bearer {self._token}"
            if self._token is None or held == stale or self.now() >= self._renew_at:
                answer = await self._patiently(self._send_assertion, again=True)
                self.enter(read_answer(answer, TokenView))
            return f"Bearer {self._token}"

    async def call(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        *,
        body: msgspec.Struct | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        authenticated: bool = True,
    ) -> Answer:
        """Send one request and return its answer as ``answer``.

        Reads, requests with an idempotency key, and those that the caller calls ``repeatable``
        are sent again when the answer was lost or the market is overloaded; others only when
        they cannot have arrived.

        Raises:
            Refused: the market said no.
            MarketUnreachable: there was no answer within the client's patience.
        """
        request = self._http.build_request(
            method,
            path,
            content=msgspec.json.encode(body) if body is not None else None,
            params={name: value for name, value in (query or {}).items() if value is not None},
            headers={**(JSON if body is not None else {}), **(headers or {})},
        )
        response = await self._patiently(
            lambda: self._send(request, authenticated=authenticated),
            again=method == "GET" or repeatable or IDEMPOTENCY_KEY in request.headers,
        )
        return read_answer(response, answer)

    async def create(
        self,
        path: str,
        answer: type[Answer],
        body: msgspec.Struct,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Post ``body`` under an idempotency key: the given one, or a new one for this call."""
        headers = {IDEMPOTENCY_KEY: idempotency_key or self.nonce()}
        return await self.call("POST", path, answer, body=body, headers=headers)

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query, headers: Mapping[str, str]
    ) -> AsyncGenerator[httpx.Response, None]:
        """Open an endless answer; one attempt, without retries.

        Raises:
            Refused: the market said no.
            httpx.TransportError: the connection failed, now or while reading.
        """
        request = self._http.build_request("GET", path, params=dict(query), headers=dict(headers))
        response = await self._send(request, authenticated=True, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    async def _patiently(
        self, send: Callable[[], Awaitable[httpx.Response]], *, again: bool
    ) -> httpx.Response:
        """Call ``send`` until it is answered, for as long as that is safe and patience lasts."""
        attempts = stamina.retry_context(
            on=wait_before_repeat if again else never_arrived,
            attempts=None,
            timeout=self.patience_seconds,
            wait_initial=0.05,
            wait_max=MAX_WAIT_SECONDS,
            wait_jitter=0.1,
        )
        try:
            async for attempt in attempts:
                with attempt:
                    return await send()
        except httpx.TransportError as error:
            raise MarketUnreachable(f"{self.url} did not answer: {error!r}") from error
        raise AssertionError("the loop above returns or raises")

    async def _send(
        self, request: httpx.Request, *, authenticated: bool, stream: bool = False
    ) -> httpx.Response:
        """Send a request; if its token is no longer taken, once more with a new one."""
        bearer = await self.authorization() if authenticated else None
        response = await self._attempt(request, bearer, stream=stream)
        if response.status_code == HTTP_UNAUTHORIZED and bearer is not None:
            await response.aclose()
            bearer = await self.authorization(stale=bearer)
            response = await self._attempt(request, bearer, stream=stream)
        if response.is_error:
            body = await response.aread()
            await response.aclose()
            raise refusal(response.status_code, body, response.headers.get("retry-after"))
        return response

    async def _attempt(
        self, request: httpx.Request, bearer: str | None, *, stream: bool
    ) -> httpx.Response:
        if bearer is not None:
            request.headers["Authorization"] = bearer
        return await self._http.send(request, stream=stream)

    async def _send_assertion(self) -> httpx.Response:
        form = await self.token_form()
        request = self._http.build_request("POST", "/oauth/token", data=form)
        return await self._send(request, authenticated=False)

    async def token_form(self) -> dict[str, str]:
        """Return what asks for a token: a fresh assertion, which is good for one attempt."""
        return {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": await self.assertion(),
        }

    async def assertion(self) -> str:
        """Return this agent's word that it is itself, to the token endpoint (RFC 7523)."""
        issued_at = self.moment()
        assertion = {
            "iss": self.agent_id,
            "sub": self.agent_id,
            "aud": await self.issuer(),
            "iat": issued_at,
            "exp": issued_at + ASSERTION_SECONDS,
            "jti": self.nonce(),
        }
        return self.key.sign(assertion, typ=commitments.ASSERTION)


def wait_before_repeat(error: Exception) -> bool | float:
    """Whether a harmless request is sent again after ``error``, or after how many seconds."""
    if isinstance(error, Refused) and error.status in HTTP_BUSY:
        if error.retry_after_seconds is None:
            # Against a limit waiting helps only if the answer says for how long.
            return error.status != HTTP_LIMITED
        return min(error.retry_after_seconds, MAX_RETRY_AFTER_SECONDS)
    # An address that is none will not become one.
    return isinstance(error, httpx.TransportError) and not isinstance(
        error, httpx.UnsupportedProtocol
    )


def never_arrived(error: Exception) -> bool:
    """Whether the request surely did not reach the market, so that sending it is not repeating."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def read_answer(response: httpx.Response, answer: type[Answer]) -> Answer:
    """Decode a body strictly.

    Raises:
        BadAnswer: it is not of the form ``answer``.
    """
    try:
        return msgspec.json.decode(response.content or b"null", type=answer, strict=True)
    except msgspec.DecodeError as error:
        raise BadAnswer(f"{response.request.url.path}: {error}") from error


def read_by(
    keys: Mapping[str, VerifyingKey], token: str, *, typ: str, claims: type[SignedClaims]
) -> SignedClaims:
    """Return the claims of a token that one of ``keys`` signed.

    Raises:
        BadSignature: none of them did, or not for this purpose.
    """
    kid = read_header(token)["kid"]
    if kid not in keys:
        raise BadSignature("the token names a key that is not published")
    return keys[kid].read(token, typ=typ, claims=claims)
