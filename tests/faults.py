"""A bad network for tests: it cuts, delays, holds, doubles and loses what passes, by rules.

A proxy stands before a real server and passes on every byte of HTTP/1.1 and WebSocket as it came.
Rules say what goes wrong, with which requests, and how often. What a rule did is counted; one that
never did anything fails the test at the end of the block::

    rules = [LoseAnswer("POST /v1/orders"), Cut(at=(1, 9_000), times=5)]
    async with faults(market.url, *rules, seed=7) as network: ...

Every request that was answered is kept in ``network.exchanges``, also those whose answer was lost.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

from tests.http_bytes import HungUp, Request, Source, read_request, unless

LIMIT_SECONDS = 10.0
LINGER_SECONDS = 1.0

Span = int | tuple[int, int]
"""A number, or the ends between which chance takes one."""


class Exchange(NamedTuple):
    """A request with its answer, and whether the client got to see it."""

    request: Request
    status: int
    body: bytes
    is_lost: bool


@dataclass
class Rule:
    """Something that happens to the requests that ``on`` is found in ("POST /v1/orders").

    The first ``spare`` of them pass, then it happens to a ``share`` of them, ``times`` times in all
    (None: without end).
    """

    on: str = ""
    share: float = field(default=1.0, kw_only=True)
    spare: int = field(default=0, kw_only=True)
    times: int | None = field(default=1, kw_only=True)
    fired: int = field(default=0, init=False)
    taken: int = field(default=0, init=False)

    def takes(self, request: Request, chance: Random) -> bool:
        """Whether it happens to this request."""
        if self.taken == self.times or not re.search(self.on, request.line):
            return False
        if chance.random() >= self.share:
            return False
        if self.spare:
            self.spare -= 1
            return False
        self.taken += 1
        return True


@dataclass
class LoseAnswer(Rule):
    """The server does as it is asked and answers, but the answer does not arrive."""


@dataclass
class LoseEveryAnswerOnce(Rule):
    """The same, for each request when it is sent for the first time."""

    times: int | None = field(default=None, kw_only=True)
    known: set[str] = field(default_factory=set, init=False)

    def takes(self, request: Request, chance: Random) -> bool:
        if request.key in self.known or not super().takes(request, chance):
            return False
        self.known.add(request.key)
        return True


@dataclass
class Cut(Rule):
    """The connection ends after so many bytes of the request or of the answer."""

    at: Span = field(default=0, kw_only=True)
    toward: Literal["client", "server"] = field(default="client", kw_only=True)


@dataclass
class HalfOpen(Rule):
    """After so many bytes of the answer nothing comes any more; the connection stays open."""

    at: Span = field(default=0, kw_only=True)


@dataclass
class Delay(Rule):
    """The request arrives so much later."""

    milliseconds: Span = field(default=0, kw_only=True)


@dataclass
class Hold(Rule):
    """The request arrives after one in which ``until`` is found was answered: out of order."""

    until: str = field(default="", kw_only=True)
    happens: asyncio.Event = field(default_factory=asyncio.Event, init=False)


@dataclass
class Double(Rule):
    """The request arrives twice at the same time, over two connections."""


@dataclass
class Refuse(Rule):
    """After the answer, new connections are refused for a while."""

    milliseconds: Span = field(default=0, kw_only=True)


Kind = TypeVar("Kind", bound=Rule)


class Wire:
    """The writing side of a connection; it may end, or fall silent, after so many bytes."""

    def __init__(
        self, writer: asyncio.StreamWriter, rule: Cut | HalfOpen | None = None, allowed: int = 0
    ) -> None:
        self._writer = writer
        self._rule = rule
        self._allowed = allowed

    async def send(self, data: bytes) -> None:
        """Pass bytes on.

        Raises:
            HungUp: the rule says that no more will follow.
        """
        if self._rule is None or len(data) < self._allowed:
            self._allowed -= len(data)
            self._writer.write(data)
            await self._writer.drain()
            return
        self._writer.write(data[: self._allowed])
        await self._writer.drain()
        self._rule.fired += 1
        if isinstance(self._rule, HalfOpen):
            await asyncio.Event().wait()
        raise HungUp

    def rest(self) -> None:
        """The message is over, and shorter than that."""
        if self._rule is not None:
            self._rule.taken -= 1


class BadNetwork:
    """The proxy before one server."""

    def __init__(self, upstream: str, rules: tuple[Rule, ...], seed: int) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        assert parts.port is not None
        self._place = (parts.hostname, parts.port)
        self._rules = rules
        self._chance = Random(seed)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._answered = asyncio.Condition()
        self.exchanges: list[Exchange] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def lost(self) -> list[Exchange]:
        """What was done and never told."""
        return [exchange for exchange in self.exchanges if exchange.is_lost]

    def answers_to(self, request: Request) -> list[tuple[int, bytes]]:
        """All answers that the server gave to a request and its repeats."""
        return [
            (exchange.status, exchange.body)
            for exchange in self.exchanges
            if exchange.request.key == request.key
        ]

    async def open(self) -> None:
        """Listen; the second time at the same port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End every connection that is open now."""
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def close(self) -> None:
        """End it all."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.cut()

    def check(self) -> None:
        """Fail if a rule never did anything."""
        idle = [rule for rule in self._rules if not rule.fired]
        assert not idle, f"these faults never happened: {idle}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(Source(reader), writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        # Also for one that was cancelled before it began.
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, client: Source, back: asyncio.StreamWriter) -> None:
        """Pass on one connection, exchange by exchange, until either side ends it."""
        writers = [back]
        try:
            reader, forth = await asyncio.open_connection(*self._place)
            writers.append(forth)
            server = Source(reader)
            while True:
                request = await read_request(client)
                await self._before(request)
                await self._send(request, forth)
                is_socket = await unless(client.until_gone(), self._answer(request, server, back))
                if is_socket:
                    await self._pump(request, client, server, back, forth)
        except (OSError, HungUp, asyncio.IncompleteReadError):
            pass
        finally:
            # All at once: whoever cancels this while it lingers leaves nothing open.
            for writer in writers:
                writer.close()
            for writer in writers:
                await _end(writer)

    async def _before(self, request: Request) -> None:
        for delay in self._taken(Delay, request):
            delay.fired += 1
            await asyncio.sleep(self._pick(delay.milliseconds) / 1_000)
        for hold in self._taken(Hold, request):
            hold.fired += 1
            hold.happens.set()
            await self.until_answered(hold.until)
        for double in self._taken(Double, request):
            double.fired += 1
            self._in_background(self.send_apart(request))

    async def _send(self, request: Request, forth: asyncio.StreamWriter) -> None:
        wire = self._wire(forth, request, "server")
        await wire.send(request.raw)
        wire.rest()

    async def _answer(self, request: Request, server: Source, back: asyncio.StreamWriter) -> bool:
        """Pass on one answer; True when a socket begins with it."""
        head = await server.head()
        status = int(head.split(b" ", 2)[1])
        if status == 101:
            await Wire(back).send(head)
            return True
        lose = [*self._taken(LoseAnswer, request), *self._taken(LoseEveryAnswerOnce, request)]
        if lose:
            await self._keep(request, status, [piece async for piece in server.body(head)], lose)
            raise HungUp
        wire = self._wire(back, request, "client")
        await wire.send(head)
        kept: list[bytes] = []
        async with aclosing(server.body(head)) as pieces:
            async for piece in pieces:
                await wire.send(piece)
                kept.append(piece)
        wire.rest()
        await self._keep(request, status, kept, lose)
        for refuse in self._taken(Refuse, request):
            refuse.fired += 1
            self._in_background(self._refuse(self._pick(refuse.milliseconds) / 1_000))
        return False

    async def _pump(
        self,
        request: Request,
        client: Source,
        server: Source,
        back: asyncio.StreamWriter,
        forth: asyncio.StreamWriter,
    ) -> None:
        """Pass on a WebSocket until it ends."""
        down, up = self._wire(back, request, "client"), self._wire(forth, request, "server")
        await unless(_copy(client, up), _copy(server, down))
        raise HungUp

    async def _keep(
        self, request: Request, status: int, pieces: list[bytes], lose: list[Rule]
    ) -> None:
        for rule in lose:
            rule.fired += 1
        async with self._answered:
            self.exchanges.append(Exchange(request, status, b"".join(pieces), bool(lose)))
            self._answered.notify_all()

    async def until_answered(self, words: str) -> None:
        """Return when the server has answered a request in which ``words`` are found."""
        await self._until(lambda kept: bool(re.search(words, kept.request.line)))

    async def until_lost(self) -> None:
        """Return when something was done and not told."""
        await self._until(lambda kept: kept.is_lost)

    async def _until(self, is_it: Callable[[Exchange], bool]) -> None:
        async with asyncio.timeout(LIMIT_SECONDS), self._answered:
            await self._answered.wait_for(lambda: any(map(is_it, self.exchanges)))

    async def send_apart(self, request: Request) -> None:
        """Send a request over a connection of its own, and keep the answer."""
        reader, writer = await asyncio.open_connection(*self._place)
        try:
            writer.write(request.raw)
            server = Source(reader)
            head = await server.head()
            pieces = [piece async for piece in server.body(head)]
        finally:
            # Also for one that is cancelled while it waits.
            writer.close()
        await _end(writer)
        await self._keep(request, int(head.split(b" ", 2)[1]), pieces, [])

    async def _refuse(self, seconds: float) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.sleep(seconds)
        await self.open()

    def _wire(
        self, writer: asyncio.StreamWriter, request: Request, toward: Literal["client", "server"]
    ) -> Wire:
        cuts = (rule for rule in self._rules if isinstance(rule, Cut) and rule.toward == toward)
        stops = (rule for rule in self._rules if isinstance(rule, HalfOpen) and toward == "client")
        for rule in (*cuts, *stops):
            if rule.takes(request, self._chance):
                return Wire(writer, rule, self._pick(rule.at))
        return Wire(writer)

    def _taken(self, kind: type[Kind], request: Request) -> Iterator[Kind]:
        rules = (rule for rule in self._rules if isinstance(rule, kind))
        return (rule for rule in rules if rule.takes(request, self._chance))

    def _pick(self, span: Span) -> int:
        return span if isinstance(span, int) else self._chance.randint(*span)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _end(writer: asyncio.StreamWriter) -> None:
    """Let what was written go out, and then the other side see the end."""
    writer.close()
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            await writer.wait_closed()
    except OSError:  # TimeoutError is one: nobody takes it.
        writer.transport.abort()


async def _copy(source: Source, wire: Wire) -> None:
    async for piece in source.pieces():
        await wire.send(piece)


@asynccontextmanager
async def faults(upstream: str, *rules: Rule, seed: int = 2026) -> AsyncIterator[BadNetwork]:
    """Run a proxy before ``upstream`` within the block; at its end every rule must have fired."""
    network = BadNetwork(upstream, rules, seed)
    await network.open()
    try:
        yield network
        network.check()
    finally:
        await network.close()
