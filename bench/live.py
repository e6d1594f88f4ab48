"""Live reading: from the moment an append is sent to the moment ten readers have it.

A writer appends notes to one session at a steady pace. Each note carries the time at which its
request left; every reader notes how old it is on arrival. So a figure holds all of it: request,
verb, commit on disk, fan-out, reader.
"""

import asyncio
import base64
import os
import re
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Literal, NamedTuple

from bench.cast import SETTINGS, Agent, Cast, requests_of
from bench.harness import SLICES, Figure, Report, Server, compared, percentile, workplace
from bench.wire import Follower, Line, lines, request_of
from market.protocol.wire import OpenSession, SessionView, WriteEvent, WriteEvents

Transport = Literal["SSE", "WebSocket"]

READERS: Final = 10
APPENDS: Final = 400
"""Appends in a slice."""

PACE_SECONDS: Final = 0.005
SETTLE_SECONDS: Final = 5.0
_STAMP: Final = re.compile(rb'"text":"sent at (\d+)"')


class LiveSlice(NamedTuple):
    """Ages on arrival at every reader, and what the writer waited for its answers, in ms."""

    ages: list[float]
    answers: list[float]


class Reader(Follower):
    """A reader of a live log that looks for stamps in whatever framing they come."""

    def __init__(self, opening: bytes) -> None:
        super().__init__(opening)
        self.ages: list[float] = []
        self.complete = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter_ns()
        self.opened.set()
        text = self._tail + data
        end = 0
        for stamp in _STAMP.finditer(text):
            self.ages.append((now - int(stamp[1])) / 1e6)
            end = stamp.end()
        # A stamp may be cut between two packets.
        self._tail = text[max(end, len(text) - 64) :]
        if len(self.ages) >= APPENDS:
            self.complete.set()


def run() -> Report:
    """Measure, and return the figures."""
    return asyncio.run(_measure())


async def _measure() -> Report:
    kinds: tuple[Transport, ...] = ("SSE", "WebSocket")
    slices: dict[Transport, list[LiveSlice]] = {kind: [] for kind in kinds}
    bare: list[list[float]] = []
    with (
        workplace() as folder,
        Server("bare", folder / "bare") as floor,
        Server("market", folder / "market", **SETTINGS) as market,
    ):
        cast = Cast(market.issuer, buyers=1, sellers=1)
        await cast.enter(market.port)
        [placing] = requests_of(await cast.prepare_orders(market.port, 1, "bare"))
        buyer = cast.buyers[0]
        for kind in kinds:
            await _slice(market, buyer, kind, f"warm-up-{kind}")
        for number in range(SLICES):
            bare.append(await pace_bare(floor, placing))
            for kind in kinds:
                slices[kind].append(await _slice(market, buyer, kind, f"{kind}-{number}"))
    tails = [percentile(each, 0.99) for each in bare]
    figures = [figure for kind in kinds for figure in _figures(kind, slices[kind], tails)]
    middles = [percentile(each, 0.50) for each in bare]
    figures.append(Figure(name="bare POST: p99", value=statistics.median(tails), unit="ms"))
    return Report("Live reading, 10 readers, 200 appends a second", figures, middles)


async def _slice(market: Server, buyer: Agent, kind: Transport, label: str) -> LiveSlice:
    async with lines(market.port, 1) as [line]:
        opening = OpenSession(need="a log to follow")
        session = await buyer.post(line, "/v1/sessions", opening, SessionView, key=label)
        path = f"/v1/sessions/{session.id}"
        async with _readers(market, kind, buyer, path) as readers:
            answers = await _append(line, buyer, path)
            async with asyncio.timeout(SETTLE_SECONDS):
                await asyncio.gather(*(reader.complete.wait() for reader in readers))
            return LiveSlice([age for reader in readers for age in reader.ages], answers)


async def _append(line: Line, buyer: Agent, path: str) -> list[float]:
    def stamped(sent_at: int) -> bytes:
        note = WriteEvent(kind="note.written", body={"text": f"sent at {sent_at}"})
        return request_of("POST", f"{path}/events", WriteEvents(events=[note]), token=buyer.token)

    return await _paced(line, stamped)


async def pace_bare(floor: Server, request: bytes) -> list[float]:
    """Return how long a bare POST takes at the pace of the appends, in ms: the yardstick."""
    async with lines(floor.port, 1) as [line]:
        return await _paced(line, lambda sent_at: request)


async def _paced(line: Line, made: Callable[[int], bytes]) -> list[float]:
    """Send a request at each moment, made of that moment in ns; return the waits in ms."""
    loop = asyncio.get_running_loop()
    answers = []
    due = loop.time()
    for _ in range(APPENDS):
        sent_at = time.perf_counter_ns()
        await line.call(made(sent_at), expect=201)
        answers.append((time.perf_counter_ns() - sent_at) / 1e6)
        due += PACE_SECONDS
        await asyncio.sleep(max(0, due - loop.time()))
    return answers


@asynccontextmanager
async def _readers(
    market: Server, kind: Transport, buyer: Agent, path: str
) -> AsyncIterator[list[Reader]]:
    loop = asyncio.get_running_loop()
    opening = _opening(kind, buyer, path)
    readers = [
        (await loop.create_connection(lambda: Reader(opening), "127.0.0.1", market.port))[1]
        for _ in range(READERS)
    ]
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            await asyncio.gather(*(reader.opened.wait() for reader in readers))
        yield readers
    finally:
        for reader in readers:
            reader.close()


def _opening(kind: Transport, buyer: Agent, path: str) -> bytes:
    if kind == "SSE":
        return request_of("GET", f"{path}/stream?after=-1", token=buyer.token)
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path}/socket?after=-1 HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"authorization: Bearer {buyer.token}\r\n"
        "upgrade: websocket\r\nconnection: Upgrade\r\n"
        f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n"
    ).encode()


def _figures(kind: Transport, slices: list[LiveSlice], bare: list[float]) -> list[Figure]:
    tails = [percentile(each.ages, 0.99) for each in slices]
    middles = [percentile(each.ages, 0.50) for each in slices]
    return [
        Figure(
            name=f"append to {kind} reader: p50",
            value=statistics.median(middles), unit="ms", more=False,
        ),
        Figure(
            name=f"append to {kind} reader: p99",
            value=statistics.median(tails), unit="ms", goal_accept=10.0, more=False,
        ),
        compared(
            f"append to {kind} reader: p99 against that of a bare POST",
            tails, bare, unit="ms", more=False,
        ),
        Figure(
            name=f"append to answer, {kind} readers: p99",
            value=statistics.median(percentile(each.answers, 0.99) for each in slices),
            unit="ms", more=False,
        ),
    ]  # fmt: skip
