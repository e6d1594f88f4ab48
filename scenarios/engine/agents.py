"""The agents' clients in a story: they speak to the market as any other, and keep to their part."""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import anyio
import httpx

from buyer_agents import MarketClient, follow_session, open_http
from buyer_agents.connection import Connection
from market.protocol import wire
from market.protocol.chain import Entry
from market.protocol.commitments import AgentKind
from market.protocol.signing import SigningKey
from scenarios.engine.worlds import Options


class BuyersView:
    """How a buyer sees the logs of its journeys, over a line that may be cut.

    ``read`` are the offsets that came, by session, in the order in which they came. ``cuts`` are
    live streams that broke, ``resumes`` those that were taken up again.
    """

    def __init__(
        self,
        resumed: Callable[[int], None],
        http: Callable[[str], httpx.AsyncClient] = open_http,
    ) -> None:
        self.read: dict[str, list[int]] = {}
        self.cuts = 0
        self.resumes = 0
        self._resumed = resumed
        self._http = http
        self._live = 0
        self._moved = anyio.Event()

    def open_http(self, url: str) -> httpx.AsyncClient:
        """Return an HTTP client that notes when a stream is taken up again."""
        http = self._http(url)
        http.event_hooks["response"].append(self._note)
        return http

    async def follow(
        self, market: Connection, session_id: str, after: int
    ) -> AsyncGenerator[Entry, None]:
        """Follow a log as the client library does, and keep account of it."""
        read = self.read.setdefault(session_id, [])
        self._live += 1
        try:
            async with aclosing(follow_session(market, session_id, after)) as entries:
                async for entry in entries:
                    read.append(entry.offset)
                    self._moved.set()
                    self._moved = anyio.Event()
                    yield entry
        finally:
            self._live -= 1

    async def reads(self, session_id: str, offset: int) -> None:
        """Wait until the buyer has read ``offset`` of a log."""
        while offset not in self.read.get(session_id, ()):
            await self._moved.wait()

    def was_cut(self) -> None:
        """Note that the buyer's line broke."""
        self.cuts += self._live

    async def _note(self, response: httpx.Response) -> None:
        request = response.request
        is_log = request.url.path.startswith("/v1/sessions/") and "Last-Event-ID" in request.headers
        if is_log and response.is_success and self.resumes < self.cuts:
            self.resumes += 1
            self._resumed(int(request.headers["Last-Event-ID"]))


class BuyersClient(MarketClient):
    """A buyer's client: the director watches each session that it opens.

    It accepts no delivery and closes nothing before its sub-agents are through (``alone``).
    """

    def __init__(
        self,
        url: str,
        key: SigningKey,
        *,
        options: Options,
        nonce: Callable[[], str],
        opened: Callable[[str], None],
        alone: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(url, key, nonce=nonce, **options)
        self._opened = opened
        self._alone = alone

    async def open_session(
        self,
        need: str,
        labels: Mapping[str, str] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> wire.SessionView:
        """Open a session, as every client does, and show it to the director."""
        session = await super().open_session(need, labels, idempotency_key=idempotency_key)
        self._opened(session.id)
        return session

    async def accept(self, order_id: str) -> wire.OrderView:
        """Accept a delivery, as every client does, once its sub-agents are through."""
        await self._alone()
        return await super().accept(order_id)

    async def close_session(self, session_id: str, reason: str = "done") -> wire.SessionView:
        """Close a session, as every client does, once its sub-agents are through."""
        await self._alone()
        return await super().close_session(session_id, reason)


Reaches = Callable[[str, int | None], Awaitable[None]]
"""Waits until the director has read a session's log up to an offset, or (None) all of it."""


class SellersClient(MarketClient):
    """A seller's client: it enters under the name that the story gives, and keeps to its pace.

    ``service_id`` is what it has listed.

    After each step it waits for the director, so that acts happen between two steps.
    """

    def __init__(
        self,
        url: str,
        key: SigningKey,
        *,
        name: str,
        nonce: Callable[[], str],
        pace_seconds: float,
        reaches: Reaches,
        options: Options,
    ) -> None:
        super().__init__(url, key, nonce=nonce, **options)
        self._name = name
        self._pace_seconds = pace_seconds
        self._reaches = reaches
        self._sessions: dict[str, str] = {}
        self._to_corrupt: deque[Callable[[], None]] = deque()
        self.service_id = ""
        self.slower_seconds = 0.0
        """How much longer it takes over each chunk than its pace says."""

    def corrupt_next(self, corrupted: Callable[[], None]) -> None:
        """Empty the next chunk: its members are there, and hold nothing."""
        self._to_corrupt.append(corrupted)

    async def register(
        self, handle: str, kind: AgentKind, principal_id: str | None = None
    ) -> wire.AgentView:
        """Enter the market under the name that the story gives."""
        return await super().register(self._name, kind, principal_id)

    async def publish(
        self, manifest: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> wire.ServiceView:
        """Publish the manifest, as every client does, and note the service's id."""
        service = await super().publish(manifest, idempotency_key=idempotency_key)
        self.service_id = service.id
        return service

    async def start(self, order_id: str) -> wire.OrderView:
        """Start an order, as every client does, and wait for the director."""
        order = await super().start(order_id)
        self._sessions[order_id] = order.session_id
        await self._reaches(order.session_id, None)
        return order

    async def chunk(
        self, order_id: str, index: int, output: Mapping[str, Any], *, units: int
    ) -> wire.ChunkView:
        """Deliver a chunk at the seller's pace, and wait for the director."""
        await anyio.sleep(self._pace_seconds + self.slower_seconds)
        if self._to_corrupt:
            output = dict.fromkeys(output)
            self._to_corrupt.popleft()()
        chunk = await super().chunk(order_id, index, output, units=units)
        await self._reaches(self._sessions[order_id], chunk.offset)
        return chunk
