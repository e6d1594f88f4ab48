"""The porch: what every request passes before anything is done for it, on every face.

It asks for what costs nothing to ask: is the request for this market (a page whose name was bound
anew to this address says another ``Host``), are its headers few, does its sender ask too often or
too much at once. The sender is the agent of a token that is known, or else the socket's address:
what a header says about addresses (``X-Forwarded-For``) is not believed.
"""

from collections import Counter
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from market.base.errors import MarketError
from market.base.settings import Settings
from market.faces.http import limits
from market.faces.http.answers import Header, encode
from market.faces.http.call import address_of
from market.faces.http.desk import Desk
from market.faces.http.problems import (
    HeadersTooLarge,
    Malformed,
    Misdirected,
    TooManyRequests,
    problem_headers,
    problem_tree,
    refuse_handshake,
    report,
)

READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_MAX_KNOWN: Final = 1_000


class Hosts:
    """The names under which a market is asked for."""

    def __init__(self, settings: Settings) -> None:
        issuer = urlsplit(settings.issuer).hostname or ""
        names = (issuer, settings.host, "localhost", *settings.allowed_hosts)
        self._names = frozenset(name.lower() for name in names)
        self._known: set[bytes] = set()

    def know(self, host: bytes) -> bool:
        """Whether a ``Host`` header is this market's.

        An address always is: to bind a name anew is to lie about a name.
        """
        if host in self._known:
            return True
        name = _name_of(host.decode("latin-1"))
        if name not in self._names and not _is_address(name):
            return False
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known.add(host)
        return True


class Porch:
    """Lets requests in, or turns them away. One event loop uses it."""

    def __init__(self, settings: Settings, *, open_path: str, shared: tuple[Header, ...]) -> None:
        # Under the open path nobody needs a token if streams are open to all; and browsers of
        # other sites read its answers, which carry the shared headers.
        self._hosts = Hosts(settings)
        self._most = settings.requests_at_once
        self._under_way: Counter[str] = Counter()
        self._open_path = open_path
        self._shared = shared

    async def let_in(
        self, desk: Desk, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Have ``app`` serve a request or a socket, if it may come in."""
        address = address_of(scope)
        self._under_way[address] += 1
        try:
            try:
                self._check(desk, address, scope)
            except MarketError as refusal:
                await self._turn_away(desk, refusal, scope, receive, send)
            else:
                await app(scope, receive, send)
        finally:
            self._under_way[address] -= 1
            if not self._under_way[address]:
                del self._under_way[address]

    def _check(self, desk: Desk, address: str, scope: Scope) -> None:
        authorization = self._read_headers(scope)
        if self._under_way[address] > self._most:
            raise TooManyRequests(
                "Too many requests from this address are under way.",
                limit=self._most,
                retry_after_seconds=1,
            )
        agent_id = desk.doors.payer(authorization)
        if agent_id is not None:
            is_write = scope.get("method", "GET") not in READS
            desk.rates.count(agent_id, is_write=is_write)
        elif authorization is not None or not self._is_open(desk, scope):
            desk.rates.count_visit(address)

    def _read_headers(self, scope: Scope) -> bytes | None:
        """Return what the request shows at the door, if it is for this market."""
        authorization, host, count = None, None, 0
        for name, value in scope["headers"]:
            count += 1
            if name == b"host":
                if host is not None:
                    raise Malformed("A request has one Host.")
                host = value
            elif name == b"authorization":
                authorization = value
        if count > limits.HEADERS:
            raise HeadersTooLarge(f"At most {limits.HEADERS} headers are read.")
        if host is None or not self._hosts.know(host):
            raise Misdirected("Ask for this market by the name of its issuer, or by its address.")
        return authorization

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
