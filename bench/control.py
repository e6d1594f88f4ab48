"""Live control: from the moment a cancel is sent to the moment the worker has it in its stream.

Two hundred orders are under way, each in a session of its own: its worker delivers two chunks a
second and follows the session live. One after another, half of them are cancelled by their buyers;
at every moment at least a hundred stream. So a figure holds all of it: request, verb, settlement of
the money, commit on disk, the way to the worker.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple

import msgspec

from bench.cast import INPUT, OUTPUT, SETTINGS, Agent, Cast, Prepared, requests_of
from bench.harness import SLICES, Figure, Report, Server, percentile, workplace
from bench.live import pace_bare
from bench.wire import Follower, Line, Refused, lines, request_of
from market.protocol.wire import AskQuote, Chunk, Control, OrderView, QuoteView

SESSIONS: Final = 200
"""Orders under way when the first cancel of a slice is sent."""

CANCELS: Final = 100
"""Cancels in a slice; at least the others stream all the time."""

BUYERS: Final = 8
SELLERS: Final = 4
CHUNK_SECONDS: Final = 0.5
"""Between two chunks of one session."""

PACE_SECONDS: Final = 0.05
"""Between two cancels."""

GOAL_MS: Final = 200.0
LIMIT_SECONDS: Final = 30.0
_CANCEL: Final = b'"action":"cancel"'


class Running(NamedTuple):
    """An order under way, and the two whose it is."""

    buyer: Agent
    seller: Agent
    order: OrderView


class ControlSlice(NamedTuple):
    """Until the worker saw each cancel, and until the buyer had its answer, in ms."""

    seen: list[float]
    answered: list[float]
    chunks_per_second: float


class Worker(Follower):
    """A worker's live stream of one session, which looks for a cancel."""

    def __init__(self, opening: bytes) -> None:
        super().__init__(opening)
        self.cancelled = asyncio.Event()
        self.seen_at = 0.0

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self.opened.set()
        text = self._tail + data
        if _CANCEL in text and not self.cancelled.is_set():
            self.seen_at = now
            self.cancelled.set()
        # The words may be cut between two packets.
        self._tail = text[-len(_CANCEL) :]


def run() -> Report:
    """Measure, and return the figures."""
    return asyncio.run(_measure())


async def _measure() -> Report:
    slices: list[ControlSlice] = []
    bare: list[float] = []
    with (
        workplace() as folder,
        Server("bare", folder / "bare") as floor,
        Server("market", folder / "market", **SETTINGS) as market,
    ):
        cast = Cast(market.issuer, buyers=BUYERS, sellers=SELLERS)
        await cast.enter(market.port)
        [placing, *_] = requests_of(await cast.prepare_orders(market.port, BUYERS, "bare"))
        for number in range(SLICES):
            bare.append(percentile(await pace_bare(floor, placing), 0.50))
            await cast.renew(market.port)
            slices.append(await _slice(market, await _place(market, cast, f"slice-{number}")))
    return Report(
        f"Live control: {CANCELS} cancels among {SESSIONS} sessions that stream",
        _figures(slices),
        bare,
    )


async def _place(market: Server, cast: Cast, label: str) -> list[Running]:
    """Place the orders of a slice, each in a session of its own."""
    async with lines(market.port, BUYERS) as opened:
        shares = await asyncio.gather(
            *(_place_some(line, cast, place, label) for place, line in enumerate(opened))
        )
    return [running for share in shares for running in share]


async def _place_some(line: Line, cast: Cast, place: int, label: str) -> list[Running]:
    buyer = cast.buyers[place]
    placed = []
    for turn in range(SESSIONS // BUYERS):
        number = (place + turn) % SELLERS
        ask = AskQuote(service_id=cast.services[number].id, input=INPUT)
        quote = await buyer.post(line, "/v1/quotes", ask, QuoteView)
        order = buyer.order(quote, mandate_id=cast.mandate_ids[place])
        request = Prepared(buyer, order, f"{label}-{turn}").request()
        view = msgspec.json.decode(await line.call(request, expect=201), type=OrderView)
        placed.append(Running(buyer, cast.sellers[number], view))
    return placed


async def _slice(market: Server, running: list[Running]) -> ControlSlice:
    delivered: list[int] = []
    over = asyncio.Event()
    async with (
        lines(market.port, SESSIONS + 1) as [cancelling, *delivering],
        _workers(market, running) as workers,
        asyncio.TaskGroup() as group,
    ):
        began = time.perf_counter()
        for place, (line, one) in enumerate(zip(delivering, running, strict=True)):
            group.create_task(_deliver(line, one, place / SESSIONS, delivered, over))
        await asyncio.sleep(2 * CHUNK_SECONDS)
        sent, answered = await _cancel(cancelling, running[::2])
        async with asyncio.timeout(LIMIT_SECONDS):
            await asyncio.gather(*(worker.cancelled.wait() for worker in workers[::2]))
        seconds = time.perf_counter() - began
        over.set()
    seen = [1_000 * (worker.seen_at - at) for worker, at in zip(workers[::2], sent, strict=True)]
    return ControlSlice(seen, answered, len(delivered) / seconds)


async def _deliver(
    line: Line, running: Running, share: float, delivered: list[int], over: asyncio.Event
) -> None:
    """Deliver chunks at a steady pace, until the order was cancelled or the slice is over."""
    await asyncio.sleep(share * CHUNK_SECONDS)
    path = f"/v1/orders/{running.order.id}/chunks"
    loop = asyncio.get_running_loop()
    due, index = loop.time(), 0
    while not over.is_set():
        chunk = Chunk(index=index, units=0, output=OUTPUT)
        try:
            await line.call(request_of("POST", path, chunk, token=running.seller.token), expect=201)
        except Refused as refused:
            if "order_cancelled" not in str(refused):
                raise
            return
        delivered.append(index)
        index += 1
        due += CHUNK_SECONDS
        await asyncio.sleep(max(0, due - loop.time()))


async def _cancel(line: Line, running: list[Running]) -> tuple[list[float], list[float]]:
    """Cancel orders at a steady pace; return when each was asked for, and its answer's time."""
    loop = asyncio.get_running_loop()
    sent, answered = [], []
    due = loop.time()
    for one in running:
        path = f"/v1/sessions/{one.order.session_id}/controls"
        body = Control(action="cancel", order_id=one.order.id, reason="enough")
        request = request_of("POST", path, body, token=one.buyer.token, key=one.order.id)
        sent.append(time.perf_counter())
        await line.call(request, expect=201)
        answered.append(1_000 * (time.perf_counter() - sent[-1]))
        due += PACE_SECONDS
        await asyncio.sleep(max(0, due - loop.time()))
    return sent, answered


@asynccontextmanager
async def _workers(market: Server, running: list[Running]) -> AsyncIterator[list[Worker]]:
    loop = asyncio.get_running_loop()
    workers: list[Worker] = []
    try:
        for one in running:
            path = f"/v1/sessions/{one.order.session_id}/stream?after=-1"
            opening = partial(Worker, request_of("GET", path, token=one.seller.token))
            _, worker = await loop.create_connection(opening, "127.0.0.1", market.port)
            workers.append(worker)
        async with asyncio.timeout(LIMIT_SECONDS):
            await asyncio.gather(*(worker.opened.wait() for worker in workers))
        yield workers
    finally:
        for worker in workers:
            worker.close()


def _figures(slices: list[ControlSlice]) -> list[Figure]:
    seen = [age for each in slices for age in each.seen]
    answered = [age for each in slices for age in each.answered]
    return [
        Figure(
            name="cancel to the worker: p50", value=percentile(seen, 0.5), unit="ms", more=False
        ),
        Figure(
            name="cancel to the worker: p99", value=percentile(seen, 0.99), unit="ms",
            goal_accept=GOAL_MS, more=False,
        ),
        Figure(
            name="cancel to its answer: p99", value=percentile(answered, 0.99), unit="ms",
            more=False,
        ),
        Figure(
            name="chunks delivered meanwhile",
            value=statistics.median(each.chunks_per_second for each in slices), unit="1/s",
        ),
    ]  # fmt: skip
