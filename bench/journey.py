"""Journeys: the ten requests of one purchase, over HTTP, by 32 clients at once.

Register a buyer, search, read the manifest, read the trust report, ask for a quote, order, deliver
a chunk, complete, accept, review: signed, authenticated, on the ledger and in the log. The second
kind is that of goal G3: eight requests, seven of them writes, by buyers that are already in and
hold a mandate.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from bench.cast import INPUT, OUTPUT, SETTINGS, Agent, Cast, requests_of
from bench.harness import (
    CONNECTIONS,
    SLICES,
    Figure,
    Report,
    Server,
    compared,
    percentile,
    workplace,
)
from bench.raw import RawLoop, Slice
from bench.wire import Line, dealt, drive_all, lines, request_of
from market.protocol import commitments as typ
from market.protocol.commitments import DeliveryClaims, ReviewClaims
from market.protocol.delivery import chain
from market.protocol.wire import (
    AskQuote,
    Chunk,
    CompleteDelivery,
    OpenSession,
    OrderView,
    PlaceOrder,
    PostReview,
    QuoteView,
    SessionView,
)

JOURNEYS: Final = 6 * CONNECTIONS
"""Journeys in a slice."""

RAW_ORDERS: Final = 20_000
BARE_POSTS: Final = 100 * CONNECTIONS
STEPS: Final = (
    "register", "search", "read manifest", "trust report", "quote", "order", "deliver chunk",
    "complete", "accept", "review",
)  # fmt: skip
_SEARCH: Final = "/v1/services?q=tables+pdf&limit=10"
_UNITS: Final = len(INPUT["pages"])
_DIGEST: Final = chain("", OUTPUT)

View = TypeVar("View")
Latencies = dict[str, list[float]]


class JourneySlice(NamedTuple):
    """Journeys a second, and the server's CPU seconds for each."""

    per_second: float
    cpu_seconds: float


class Walker:
    """One client: a line to the market, a seller that serves it, and a stopwatch."""

    def __init__(self, line: Line, cast: Cast, place: int, latencies: Latencies) -> None:
        self._line = line
        self._service = cast.services[place % len(cast.services)]
        self._seller = cast.sellers[place % len(cast.sellers)]
        self._latencies = latencies

    async def whole(self, buyer: Agent, registration: bytes) -> None:
        """Walk the ten requests as an agent that nobody knows yet."""
        service = f"/v1/services/{self._service.id}"
        buyer.enter(await self._timed("register", registration, 201))
        await self._get(buyer, "search", _SEARCH)
        await self._get(buyer, "read manifest", service)
        await self._get(buyer, "trust report", f"{service}/trust")
        quote = await self._quote(buyer, None)
        await self._buy(buyer, buyer.order(quote))

    async def short(self, buyer: Agent, mandate_id: str, key: str) -> None:
        """Walk the eight requests of G3: in a session, under a mandate."""
        opening = OpenSession(need="rows of a table")
        session = await self._post(
            buyer, "open session", "/v1/sessions", opening, SessionView, key=f"{key}-session"
        )
        await self._get(buyer, "search", _SEARCH)
        quote = await self._quote(buyer, session.id)
        order = buyer.order(quote, mandate_id=mandate_id, session_id=session.id)
        await self._buy(buyer, order)

    async def _quote(self, buyer: Agent, session_id: str | None) -> QuoteView:
        ask = AskQuote(service_id=self._service.id, input=INPUT, session_id=session_id)
        return await self._post(buyer, "quote", "/v1/quotes", ask, QuoteView)

    async def _buy(self, buyer: Agent, placing: PlaceOrder) -> None:
        seller, key = self._seller, placing.quote_id
        order = await self._post(buyer, "order", "/v1/orders", placing, OrderView, key=key)
        path = f"/v1/orders/{order.id}"
        chunk = Chunk(index=0, units=_UNITS, output=OUTPUT)
        await self._post(seller, "deliver chunk", f"{path}/chunks", chunk, Any)
        delivery = seller.sign(
            typ.DELIVERY,
            DeliveryClaims,
            order_id=order.id,
            chunks=1,
            units=_UNITS,
            digest=_DIGEST,
        )
        done = CompleteDelivery(commitment=delivery)
        await self._post(seller, "complete", f"{path}/complete", done, Any, expect=200)
        settled = await self._post(buyer, "accept", f"{path}/accept", None, OrderView, expect=200)
        review = buyer.sign(
            typ.REVIEW,
            ReviewClaims,
            order_id=order.id,
            receipt_id=settled.receipt_id,
            verdict="good",
            comment="Every row was there.",
        )
        await self._post(
            buyer, "review", "/v1/reviews", PostReview(commitment=review), Any, key=f"{key}-review"
        )

    async def _get(self, agent: Agent, step: str, path: str) -> bytes:
        return await self._timed(step, request_of("GET", path, token=agent.token), 200)

    async def _post(
        self,
        agent: Agent,
        step: str,
        path: str,
        body: Any,
        view: type[View],
        *,
        key: str | None = None,
        expect: int = 201,
    ) -> View:
        request = request_of("POST", path, body, token=agent.token, key=key)
        return msgspec.json.decode(await self._timed(step, request, expect), type=view)

    async def _timed(self, step: str, request: bytes, expect: int) -> bytes:
        began = time.perf_counter()
        answer = await self._line.call(request, expect=expect)
        self._latencies.setdefault(step, []).append(time.perf_counter() - began)
        return answer


def run() -> Report:
    """Measure, and return the figures."""
    return asyncio.run(_measure())


async def _measure() -> Report:
    plain: list[Slice] = []
    bare: list[JourneySlice] = []
    whole: list[JourneySlice] = []
    short: list[JourneySlice] = []
    latencies: Latencies = {}
    with (
        workplace() as folder,
        Server("bare", folder / "bare") as floor,
        Server("market", folder / "market", **SETTINGS) as market,
    ):
        raw = RawLoop(folder / "raw")
        cast = Cast(market.issuer, buyers=CONNECTIONS, sellers=8)
        await cast.enter(market.port)
        await _walk_short(market, cast, "warm-up", {})
        posts = await cast.prepare_orders(market.port, CONNECTIONS, "bare")
        requests = requests_of(posts) * (BARE_POSTS // CONNECTIONS)
        for number in range(SLICES):
            plain.append(raw.run(RAW_ORDERS))
            bare.append(await _post_bare(floor, requests))
            whole.append(await _walk_whole(market, cast, f"w{number}", latencies))
            short.append(await _walk_short(market, cast, f"s{number}", {}))
        raw.close()
    return Report("Journeys", _figures(plain, bare, whole, short, latencies), _rates(plain))


async def _post_bare(floor: Server, requests: list[bytes]) -> JourneySlice:
    cpu = floor.cpu_seconds()
    seconds, latencies = await drive_all(floor.port, dealt(requests, CONNECTIONS), expect=201)
    number = len(latencies)
    return JourneySlice(number / seconds, (floor.cpu_seconds() - cpu) / number)


async def _walk_whole(market: Server, cast: Cast, label: str, latencies: Latencies) -> JourneySlice:
    buyers = [Agent(f"{label}-{number}", "buyer", market.issuer) for number in range(JOURNEYS)]
    # Signed before the clock starts, as every client could do.
    entering = [(buyer, buyer.registration()) for buyer in buyers]

    async def walk(walker: Walker, place: int) -> None:
        for buyer, registration in entering[place::CONNECTIONS]:
            await walker.whole(buyer, registration)

    return await _walk(market, cast, latencies, walk)


async def _walk_short(market: Server, cast: Cast, label: str, latencies: Latencies) -> JourneySlice:
    async def walk(walker: Walker, place: int) -> None:
        for turn in range(JOURNEYS // CONNECTIONS):
            await walker.short(cast.buyers[place], cast.mandate_ids[place], f"{label}-{turn}")

    return await _walk(market, cast, latencies, walk)


async def _walk(
    market: Server,
    cast: Cast,
    latencies: Latencies,
    walk: Callable[[Walker, int], Awaitable[None]],
) -> JourneySlice:
    await cast.renew(market.port)
    async with lines(market.port, CONNECTIONS) as opened:
        walkers = [Walker(line, cast, place, latencies) for place, line in enumerate(opened)]
        cpu, began = market.cpu_seconds(), time.perf_counter()
        await asyncio.gather(*(walk(walker, place) for place, walker in enumerate(walkers)))
        seconds = time.perf_counter() - began
    return JourneySlice(JOURNEYS / seconds, (market.cpu_seconds() - cpu) / JOURNEYS)


def _figures(
    plain: list[Slice],
    bare: list[JourneySlice],
    whole: list[JourneySlice],
    short: list[JourneySlice],
    latencies: Latencies,
) -> list[Figure]:
    whole_cpu = [each.cpu_seconds * 1e3 for each in whole]
    figures = [
        compared(
            "journeys of 8 requests against R (G3)",
            [each.per_second for each in short], _rates(plain),
            unit="journeys/s", accept=0.015, great=0.025,
        ),
        Figure(
            name="server CPU of a journey of 8 requests",
            value=statistics.median(each.cpu_seconds * 1e3 for each in short), unit="ms",
        ),
        compared(
            "journeys of 10 requests against R",
            [each.per_second for each in whole], _rates(plain), unit="journeys/s",
        ),
        Figure(
            name="server CPU of a journey of 10 requests",
            value=statistics.median(whole_cpu), unit="ms", goal_accept=12.0, more=False,
        ),
        compared(
            "server CPU of a journey of 10 requests against a bare POST, F",
            whole_cpu, [each.cpu_seconds * 1e3 for each in bare], unit="ms", more=False,
        ),
    ]  # fmt: skip
    for step in STEPS:
        middle, tail = (percentile(latencies[step], share) * 1e3 for share in (0.50, 0.99))
        figures += [
            Figure(name=f"{step}: p50", value=middle, unit="ms", more=False),
            Figure(name=f"{step}: p99", value=tail, unit="ms", more=False),
        ]
    return figures


def _rates(plain: list[Slice]) -> list[float]:
    return [each.per_second for each in plain]
