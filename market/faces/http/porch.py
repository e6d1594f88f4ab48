"""The porch: what every request passes before anything is done for it, on every face.

It asks for what costs nothing to ask: is the request for this market (a page whose name was bound
anew to this address says another ``Host``), are its headers few, does its sender ask too often or
too much at once. The sender is the agent of a token that is known, or else the socket's address:
what a header says about addresses (``X-Forwarded-For``) is not believed.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from market.base.errors import MarketError
from market.base.settings import Settings
from market.faces.http import limits
from market.faces.http.answers import Header, encode
from market.faces.http.call import address_of, named_headers
from market.faces.http.desk import Desk
from market.faces.http.problems import (
    Malformed,
    Misdirected,
    TooManyRequests,
    problem_headers,
    problem_tree,
    refuse_handshake,
    report,
)

READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TOKENS: Final = "/oauth/token"
_MAX_KNOWN: Final = 1_000
_MAX_HOST: Final = 300
"""Bytes of a ``Host`` that may be a name: 253, and a port."""


class Hosts:
    """The names under which a market is asked for; ``known`` are some of those that were heard."""

    def __init__(self, settings: Settings) -> None:
        issuer = urlsplit(settings.issuer).hostname or ""
        names = (issuer, settings.host, "localhost", *settings.allowed_hosts)
        self._names = frozenset(_name_of(name) for name in names) - {""}
        self.known: set[bytes | None] = set()

    def know(self, host: bytes) -> bool:
        """Whether a ``Host`` header is this market's.

        An address always is: to bind a name anew is to lie about a name.
        """
        if host in self.known:
            return True
        name = _name_of(host.decode("latin-1"))
        if len(host) > _MAX_HOST or (name not in self._names and not _is_address(name)):
            return False
        if len(self.known) >= _MAX_KNOWN:
            self.known.clear()
        self.known.add(host)
        return True


class Porch:
    """Lets requests in, or turns them away. One event loop uses it."""

    def __init__(
        self,
        settings: Settings,
        *,
        open_path: str,
        shared: tuple[Header, ...],
        freeing: frozenset[str] = frozenset(),
    ) -> None:
        # Under the open path nobody needs a token if streams are open to all; and browsers of
        # other sites read its answers, which carry the shared headers. ``freeing`` are the last
        # words of the paths where something is ended, cancelled, or a token got.
        self._hosts = Hosts(settings)
        self._most = settings.requests_at_once
        self._under_way: dict[str, int] = {}
        self._freeing = freeing
        self._open_path = open_path
        self._shared = shared

    async def let_in(
        self, desk: Desk, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Have ``app`` serve a request or a socket, if it may come in."""
        address = address_of(scope)
        under_way = self._under_way
        under_way[address] = count = under_way.get(address, 0) + 1
        try:
            try:
                if count > self._most:
                    self._check_spare(count, scope)
                self._check(desk, address, scope)
            except MarketError as refusal:
                await self._turn_away(desk, refusal, scope, receive, send)
            else:
                await app(scope, receive, send)
        finally:
            if under_way[address] == 1:
                del under_way[address]
            else:
                under_way[address] -= 1

    def _check_spare(self, count: int, scope: Scope) -> None:
        if count > self._most + limits.SPARE or not self._frees(scope):
            raise TooManyRequests(
                "Too many requests from this address are under way.",
                limit=self._most,
                retry_after_seconds=1,
            )

    def _check(self, desk: Desk, address: str, scope: Scope) -> None:
        headers = named_headers(scope)
        pairs: Any = scope["headers"]
        host = headers.get(b"host")
        if host not in self._hosts.known or len(headers) != len(pairs):
            self._check_odd(pairs, host)
        authorization, rates = headers.get(b"authorization"), desk.rates
        payer, now = desk.doors.payers.get(authorization), rates.now()
        if payer is None or payer.until <= now:
            if authorization is not None or not self._is_open(desk, scope):
                rates.count_visit(address, now, gets_token=scope["path"] == _TOKENS)
            return
        is_write = scope.get("method", "GET") not in READS
        try:
            rates.count(payer.agent_id, now, is_write, payer.depth)
        except TooManyRequests:
            if not payer.frees or not self._frees(scope):
                raise
            rates.count_ending(payer.agent_id, now)

    def _check_odd(self, pairs: Sequence[Header], host: bytes | None) -> None:
        """Look closer at a request with a header that stands twice, or for a new host."""
        if sum(name == b"host" for name, _ in pairs) > 1:
            raise Malformed("A request has one Host.")
        if host is None or not self._hosts.know(host):
            raise Misdirected("Ask for this market by the name of its issuer, or by its address.")

    def _frees(self, scope: Scope) -> bool:
        method = scope.get("method")
        last = scope["path"].rpartition("/")[2]
        return method == "DELETE" or (method == "POST" and last in self._freeing)

    def _is_open(self, desk: Desk, scope: Scope) -> bool:
        return desk.settings.open_streams and scope["path"].startswith(self._open_path)

    async def _turn_away(
        self, desk: Desk, refusal: MarketError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        request_id, issuer = desk.request_ids.new("req"), desk.settings.issuer
        report(refusal, request_id=request_id, path=scope["path"])
        if scope["type"] == ScopeType.WEBSOCKET:
            await receive()
            await refuse_handshake(scope, send, refusal, request_id=request_id, issuer=issuer)
            return
        body = encode(problem_tree(refusal, request_id))
        is_shared = scope["path"].startswith(self._open_path)
        headers = [
            *problem_headers(refusal, request_id, issuer),
            (b"content-length", str(len(body)).encode()),
            *(self._shared if is_shared else ()),
        ]
        is_head = scope["method"] == "HEAD"
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if is_head else body, "more_body": False}
        )


def _name_of(host: str) -> str:
    """Return a Host header's name, without its port and in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
