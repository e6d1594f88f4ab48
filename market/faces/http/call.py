"""The call: one HTTP request as this face reads it, bounded and without copies."""

import asyncio
import hashlib
import re
from collections.abc import Collection
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from litestar import Request
from litestar.types import Receive, Scope, Send

from market.base.once import Once
from market.faces.http import limits
from market.faces.http.desk import Desk
from market.faces.http.doors import Visitor, payer_of
from market.faces.http.held import Lease
from market.faces.http.problems import (
    BodyTooSlow,
    ContentTooLarge,
    HeadersTooLarge,
    InvalidParameter,
    Malformed,
    MissingIdempotencyKey,
    UnsupportedMediaType,
)
from market.faces.http.rates import neighbourhood

_DESK: Final = "market.desk"
_HEADERS: Final = "market.headers"
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Call(Request[Any, Any, Any]):
    """A request. What it gives is read once and only when somebody asks."""

    __slots__ = ("_lease", "_visitor", "content")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._visitor: Visitor | None = None
        self._lease: Lease | None = None
        self.content = b""

    @property
    def desk(self) -> Desk:
        """What all requests of this market share."""
        kept: Any = self.scope
        desk: Desk | None = kept.get(_DESK)
        if desk is None:
            # Litestar's state is searched by steps that cost a microsecond.
            desk = kept[_DESK] = cast("Desk", self.scope["litestar_app"].state.desk)
        return desk

    @property
    def request_id(self) -> str:
        """The id under which the caller and the operators' log speak of this request."""
        # The scope outlives this object: an exception handler makes another for the same request.
        known = self.scope["state"].get("request_id")
        if known is None:
            known = self.scope["state"]["request_id"] = self.desk.request_ids.new("req")
        return cast("str", known)

    def header(self, name: bytes) -> bytes | None:
        """Return a header by its lower-case name; the last one, if it was sent twice."""
        return named_headers(self.scope).get(name)

    async def identify(self, *, delegates: bool = False) -> None:
        """Find out who calls, by the bearer token; ``delegates`` lets sub-agents call, too.

        Raises:
            Unauthenticated: nobody known.
            InsufficientScope: a sub-agent, where none may call.
        """
        header = self.header(b"authorization")
        self._visitor = await self.desk.doors.admit(header, delegates=delegates)

    @property
    def visitor(self) -> Visitor:
        """Who calls; ``identify`` comes first."""
        assert self._visitor is not None, "a handler reads the caller of a public route"
        return self._visitor

    @property
    def agent_id(self) -> str | None:
        """Whose request this is, for the log; None before it is known."""
        return None if self._visitor is None else self._visitor.caller.agent_id

    @property
    def sender(self) -> str:
        """For whom what this request holds is counted: the agent, or else the address."""
        known = self._visitor
        return address_of(self.scope) if known is None else payer_of(known.caller)

    def parameters(self, repeated: Collection[str] = ()) -> dict[str, Any]:
        """Return the query's parameters, as ``read_query`` does."""
        return read_query(self.scope["query_string"], repeated)

    async def load(self, limit: int, media: str) -> None:
        """Read the body, of at most ``limit`` bytes, into ``content``.

        Raises:
            UnsupportedMediaType: it says that it is of another media type.
            ContentTooLarge: it is longer.
            BodyTooSlow: it did not come within ``limits.BODY_SECONDS``.
            Overloaded, TooManyRequests: the market, or the sender, holds as much as it may.
            Malformed: the client went away before its end.
        """
        kind = self.header(b"content-type")
        if kind is not None and kind.partition(b";")[0].strip().lower() != media.encode():
            raise UnsupportedMediaType(f"Send the body as {media}.", media=media)
        self._lease = self.desk.held.lease(self.sender)
        try:
            async with asyncio.timeout(limits.BODY_SECONDS):
                self.content = await read_body(self.receive, limit, self._lease)
        except TimeoutError as error:
            raise BodyTooSlow(f"A body comes within {limits.BODY_SECONDS} s.") from error

    def let_go(self) -> None:
        """Note that the request is answered: what it held is held no more."""
        if self._lease is not None:
            self._lease.end()

    def once_if_named(self) -> Once | None:
        """Return the same as ``once``, or None for a request without a key."""
        return None if self.header(b"idempotency-key") is None else self.once()

    def once(self) -> Once:
        """Return what makes a repeat of this request harmless; the body must be loaded.

        Raises:
            MissingIdempotencyKey: the header is not there, or not of its form.
        """
        key = (self.header(b"idempotency-key") or b"").decode("latin-1")
        if not _KEY.fullmatch(key):
            raise MissingIdempotencyKey(
                "Send a header Idempotency-Key: 1 to 64 letters, digits, hyphens, underscores;"
                " a new one for each new request, the same one for a repeat.",
                header="Idempotency-Key",
            )
        act = f"{self.scope['method']} {self.scope['path']}\n".encode()
        fingerprint = hashlib.sha256(act + self.content).hexdigest()
        return Once(self.visitor.caller.agent_id, key, fingerprint)


def named_headers(scope: Scope) -> dict[bytes, bytes]:
    """Return a request's headers by lower-case name, the last of several; read once.

    Raises:
        HeadersTooLarge: there are more than anybody needs.
    """
    kept: Any = scope
    known: dict[bytes, bytes] | None = kept.get(_HEADERS)
    if known is None:
        pairs = kept["headers"]
        if len(pairs) > limits.HEADERS:
            raise HeadersTooLarge(f"At most {limits.HEADERS} headers are read.")
        known = kept[_HEADERS] = dict(pairs)
    return known


def address_of(scope: Scope) -> str:
    """Return the address at the other end of the socket; of IPv6, what one customer holds."""
    client = scope.get("client")
    return neighbourhood(client[0]) if client else ""


async def read_body(receive: Receive, limit: int, lease: Lease) -> bytes:
    """Return a request's body, of at most ``limit`` bytes, which ``lease`` holds.

    Raises:
        ContentTooLarge: it is longer.
        Overloaded, TooManyRequests: the market, or the sender, holds as much as it may.
        Malformed: the client went away before its end.
    """
    whole: bytes | bytearray = b""
    is_over = False
    while not is_over:
        message = await receive()
        if message["type"] != "http.request":
            raise Malformed("The connection closed before the end of the body.")
        part, is_over = message["body"], not message["more_body"]
        size = len(whole) + len(part)
        if size > limit:
            await _discard(receive, limits.DISCARD - size, is_over=is_over)
            raise ContentTooLarge(f"At most {limit} bytes are read here.", limit_bytes=limit)
        lease.take(len(part))
        if not whole:
            whole = part
        else:
            # Kept apart, parts of two bytes would take twenty times the room that they are.
            if not isinstance(whole, bytearray):
                whole = bytearray(whole)
            whole += part
    return bytes(whole)


async def _discard(receive: Receive, left: int, *, is_over: bool) -> None:
    """Read on for a while, and keep nothing.

    A server that closes with unread bytes resets the connection, and the client that still
    writes never reads the refusal.
    """
    while left > 0 and not is_over:
        message = await receive()
        if message["type"] != "http.request":
            return
        left -= len(message["body"])
        is_over = not message["more_body"]


def read_query(query: bytes, repeated: Collection[str] = ()) -> dict[str, Any]:
    """Return the parameters of a query, each at most once; those that may be ``repeated`` as lists.

    Raises:
        InvalidParameter: too many, too long, twice the same, or not UTF-8.
    """
    max_bytes = limits.LONG_QUERY if repeated else limits.QUERY
    if len(query) > max_bytes:
        raise InvalidParameter(f"The query is longer than {max_bytes} bytes.")
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=limits.QUERY_FIELDS + (limits.REPEATED if repeated else 0),
        )
    except ValueError as error:
        raise InvalidParameter("The query is not text in UTF-8 of a few parameters.") from error
    found: dict[str, Any] = {}
    for name, text in pairs:
        if name in repeated:
            found.setdefault(name, []).append(text)
        elif name in found:
            raise InvalidParameter("A query parameter stands twice.")
        else:
            found[name] = text
    return found
