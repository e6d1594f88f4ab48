"""Cost that does not grow: a session of a million events, and ten thousand sessions at rest.

Appends and reads of the tail of a long session alternate with those of short ones, fresh for each
slice. Then sessions are opened, each with a reader that waits at its tail by SSE, and for half a
minute nothing happens: what the server holds and burns in that time is the figure.
"""

import asyncio
import functools
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.cast import SETTINGS, Agent
from bench.harness import SLICES, Figure, Report, Server, compared, workplace
from bench.streams.sockets import Refused, Socket, opened
from bench.wire import dealt, drive_all, lines, request_of
from market.protocol.wire import OpenSession, SessionView, WriteEvent, WriteEvents

LONG: Final = 1_000_000
"""Events in the long session after the last slice: as many as a session may hold."""

SHORT: Final = 1_000
"""Events in a short session before its slice."""

BATCH: Final = 100
WRITERS: Final = 8
OPERATIONS: Final = 1_600
"""Appends, and as many reads of the tail, in a slice."""

TAIL: Final = 20
WITHIN: Final = 1.2
"""How much more than in a short session an operation may cost in a long one."""

SESSIONS: Final = 10_000
SLEEPERS: Final = 50
"""Agents that wait, each at many sessions: an agent may hold 256 streams."""

REST_SECONDS: Final = 30.0
SETTLE_SECONDS: Final = 3.0
SPARE_FILES: Final = 500
RENEW_SECONDS: Final = 120.0
LIMIT_SECONDS: Final = 120.0
MIB: Final = 1 << 20

_NOTE: Final = WriteEvent(kind="note.written", body={"text": "x" * 100})
_ONE: Final = WriteEvents(events=[_NOTE])
_MANY: Final = WriteEvents(events=[_NOTE] * BATCH)


class Cost(NamedTuple):
    """What one operation cost: seconds on the clock, and of the server's CPU."""

    seconds: float
    cpu_seconds: float


class Waiting(Socket):
    """A reader that only notes that its stream has begun."""

    def __init__(self, opening: bytes) -> None:
        super().__init__()
        self._opening = opening
        self.begun = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.send(self._opening)

    def received(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 200") and not self.begun.is_set():
            raise Refused(repr(data[:300]))
        self.begun.set()


def run() -> Report:
    """Measure, and return the figures."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with workplace() as folder:
        return asyncio.run(_measure(folder, min(SESSIONS, most - SPARE_FILES)))


async def _measure(folder: Path, sessions: int) -> Report:
    with Server("market", folder / "market", **SETTINGS) as market:
        reader = Agent("reader", "buyer", market.issuer)
        writes, reads = await _long_against_short(market, reader)
    figures = [figure for what, costs in (("append", writes), ("read of the tail", reads))
               for figure in _grown(what, costs)]  # fmt: skip
    with Server("market", folder / "resting", **SETTINGS) as market:
        figures += await _at_rest(market, sessions)
    title = f"Cost at {LONG:,} events against {SHORT:,}, and {sessions:,} sessions at rest"
    return Report(title, figures, [short.cpu_seconds for _, short in writes])


Pairs = list[tuple[Cost, Cost]]
"""Slice by slice: in the long session, in a short one."""


async def _long_against_short(market: Server, agent: Agent) -> tuple[Pairs, Pairs]:
    await _enter(market, agent)
    # The slices, and one to warm up, write the rest; the session's opening is an event too.
    long = await _filled(market, agent, "long", LONG - (SLICES + 1) * OPERATIONS - BATCH)
    writes: Pairs = []
    reads: Pairs = []
    for number in range(SLICES + 1):
        await _enter(market, agent)
        short = await _filled(market, agent, f"short-{number}", SHORT)
        first, second = (long, short) if number % 2 else (short, long)
        found = {path: await _operate(market, agent, path) for path in (first, second)}
        if number:  # The first slice warms up.
            writes.append((found[long][0], found[short][0]))
            reads.append((found[long][1], found[short][1]))
    return writes, reads


async def _enter(market: Server, agent: Agent) -> None:
    async with lines(market.port, 1) as [line]:
        agent.enter(await line.call(agent.registration(), expect=201))


async def _filled(market: Server, agent: Agent, label: str, events: int) -> str:
    """Open a session with so many events, its opening included; return its path."""
    path = f"/v1/sessions/{(await _open(market, agent, [label]))[0].id}"
    renewed = time.monotonic()
    async with lines(market.port, 1) as [line]:
        for _ in range(events // BATCH):
            if time.monotonic() - renewed > RENEW_SECONDS:
                await _enter(market, agent)
                renewed = time.monotonic()
            request = request_of("POST", f"{path}/events", _MANY, token=agent.token)
            await line.call(request, expect=201)
    return path


async def _open(market: Server, agent: Agent, labels: Sequence[str]) -> list[SessionView]:
    async with lines(market.port, 1) as [line]:
        return [
            await agent.post(
                line, "/v1/sessions", OpenSession(need="a log"), SessionView, key=label
            )
            for label in labels
        ]


async def _operate(market: Server, agent: Agent, path: str) -> tuple[Cost, Cost]:
    """Append one by one, then read the last events again and again; return the cost of each."""
    append = request_of("POST", f"{path}/events", _ONE, token=agent.token)
    write = await _cost(market, [append] * OPERATIONS, 201)
    async with lines(market.port, 1) as [line]:
        seen = await line.call(request_of("GET", path, token=agent.token))
    last: int = msgspec.json.decode(seen)["next_offset"]
    tail = request_of("GET", f"{path}/events?after={last - TAIL - 1}", token=agent.token)
    return write, await _cost(market, [tail] * OPERATIONS, 200)


async def _cost(market: Server, requests: Sequence[bytes], expect: int) -> Cost:
    cpu = market.cpu_seconds()
    seconds, _ = await drive_all(market.port, dealt(requests, WRITERS), expect=expect)
    cpu = market.cpu_seconds() - cpu
    return Cost(seconds / len(requests), cpu / len(requests))


def _grown(what: str, costs: Pairs) -> list[Figure]:
    return [
        compared(
            f"{what}: CPU, long against short",
            [long.cpu_seconds * 1e6 for long, _ in costs],
            [short.cpu_seconds * 1e6 for _, short in costs],
            unit="µs", accept=WITHIN, more=False,
        ),
        compared(
            f"{what}: time, long against short",
            [long.seconds * 1e6 for long, _ in costs],
            [short.seconds * 1e6 for _, short in costs],
            unit="µs", accept=WITHIN, more=False,
        ),
    ]  # fmt: skip


async def _at_rest(market: Server, number: int) -> list[Figure]:
    alone = market.resident_bytes()
    sleepers = [Agent(f"sleeper-{place}", "buyer", market.issuer) for place in range(SLEEPERS)]
    openings: list[bytes] = []
    for agent in sleepers:
        await _enter(market, agent)
        views = await _open(market, agent, [f"rest-{place}" for place in range(number // SLEEPERS)])
        openings += [_waiting(agent, view) for view in views]
    unread = market.resident_bytes()
    readers = []
    async with asyncio.timeout(LIMIT_SECONDS):
        for opening in openings:
            readers.append(await opened(market.port, functools.partial(Waiting, opening)))
        await asyncio.gather(*(reader.begun.wait() for reader in readers))
    await asyncio.sleep(SETTLE_SECONDS)
    cpu, began = market.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(REST_SECONDS)
    busy = (market.cpu_seconds() - cpu) / (time.perf_counter() - began)
    resident = market.resident_bytes()
    assert not any(reader.is_lost for reader in readers), "a reader was dropped"
    for reader in readers:
        reader.close()
    return [
        Figure(
            name=f"{len(readers):,} waiting readers: memory of the server",
            value=resident / MIB, unit="MiB", goal_accept=1_000 * 1e6 / MIB, more=False,
        ),
        Figure(
            name="memory a reader", value=(resident - unread) / len(readers) / 1024, unit="KiB",
            more=False,
        ),
        Figure(name="memory before", value=alone / MIB, unit="MiB", more=False),
        Figure(
            name=f"CPU at rest, over {REST_SECONDS:.0f} s",
            value=busy * 100, unit="% of a core", goal_accept=5.0, more=False,
        ),
    ]  # fmt: skip


def _waiting(agent: Agent, view: SessionView) -> bytes:
    """Return the request that waits at the tail of a session."""
    path = f"/v1/sessions/{view.id}/stream?after={view.next_offset - 1}"
    return request_of("GET", path, token=agent.token)
