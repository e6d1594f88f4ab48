"""Orders: the verb against the same statements bare, and over HTTP against R and F.

Every order is signed by its buyer, spends under a mandate, is idempotent, and is written to a
session's log and the seller's inbox. Two markets run, one with ``synchronous=normal``.
"""

import asyncio
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.cast import SETTINGS, Cast, Prepared, requests_of
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
from bench.raw import RawLoop
from bench.verb import Verb
from bench.wire import dealt, drive_all

ORDERS: Final = 50 * CONNECTIONS
"""Orders in a slice over HTTP."""

VERB_ORDERS: Final = 10 * CONNECTIONS
"""Orders in a slice of the verb alone."""

RAW_ORDERS: Final = 20_000


class HttpSlice(NamedTuple):
    """One slice over HTTP; CPU is the server's."""

    per_second: float
    cpu_seconds: float
    commits: float
    latencies: list[float]


def run() -> Report:
    """Measure, and return the figures."""
    with workplace() as folder:
        return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> Report:
    raw = RawLoop(folder / "raw")
    plain = [raw.run(RAW_ORDERS)]
    with Server("market", folder / "market", **SETTINGS) as market:
        cast = Cast(market.issuer, buyers=CONNECTIONS, sellers=8)
        await cast.enter(market.port)
        for_verb = await cast.prepare_orders(market.port, SLICES * VERB_ORDERS, "verb")
        issuer = market.issuer
    verb = Verb(folder / "market", folder / "verb", issuer, for_verb)
    http: list[HttpSlice] = []
    normal: list[HttpSlice] = []
    bare: list[HttpSlice] = []
    with (
        Server("bare", folder / "bare") as floor,
        Server("market", folder / "full", **SETTINGS) as full_server,
        Server("market", folder / "normal", synchronous="normal", **SETTINGS) as normal_server,
    ):
        full_cast = Cast(full_server.issuer, buyers=CONNECTIONS, sellers=8)
        normal_cast = Cast(normal_server.issuer, buyers=CONNECTIONS, sellers=8)
        await full_cast.enter(full_server.port)
        await normal_cast.enter(normal_server.port)
        for number in range(SLICES):
            await verb.run_slice(VERB_ORDERS)
            orders = await full_cast.prepare_orders(full_server.port, ORDERS, f"full-{number}")
            others = await normal_cast.prepare_orders(normal_server.port, ORDERS, f"n-{number}")
            plain.append(raw.run(RAW_ORDERS))
            bare.append(await _drive(floor, orders))
            http.append(await _drive(full_server, orders))
            normal.append(await _drive(normal_server, others))
    del plain[0]
    raw.close()
    verb.close()
    rates = [each.per_second for each in plain]
    figures = [
        *verb.figures(plain),
        *_http_figures(http, normal, bare, rates),
        compared(
            "orders over HTTP against the verb's statements, bare",
            [each.per_second for each in http],
            [each.per_second for each in verb.bare],
            unit="orders/s",
        ),
        Figure(name="raw orders (R)", value=statistics.median(rates), unit="orders/s"),
    ]
    return Report("Orders", figures, rates)


async def _drive(server: Server, prepared: Sequence[Prepared]) -> HttpSlice:
    batches = dealt(requests_of(prepared), CONNECTIONS)
    is_market = server.name == "market"
    before = server.health()["commits"] if is_market else 0
    cpu = server.cpu_seconds()
    seconds, latencies = await drive_all(server.port, batches, expect=201)
    cpu = server.cpu_seconds() - cpu
    after = server.health()["commits"] if is_market else 0
    number = len(latencies)
    return HttpSlice(number / seconds, cpu / number, (after - before) / number, latencies)


def _http_figures(
    http: list[HttpSlice], normal: list[HttpSlice], bare: list[HttpSlice], raw_rates: list[float]
) -> list[Figure]:
    rates = [each.per_second for each in http]
    microseconds = [each.cpu_seconds * 1e6 for each in http]
    bare_microseconds = [each.cpu_seconds * 1e6 for each in bare]
    middles = [percentile(each.latencies, 0.50) * 1e3 for each in http]
    tails = [percentile(each.latencies, 0.99) * 1e3 for each in http]
    per_commit = statistics.median(each.commits for each in http)
    return [
        compared(
            "orders over HTTP, 32 connections, against R (G1)",
            rates, raw_rates, unit="orders/s", accept=0.10, great=0.15,
        ),
        compared(
            "server CPU of an order against a bare POST, F (G4)",
            microseconds, bare_microseconds, unit="µs", accept=2.2, great=1.7, more=False,
        ),
        Figure(
            name="commits per order at 32 connections (G6)",
            value=per_commit, unit="commits", baseline=1.0, ratio=per_commit,
            goal_accept=1 / 8, goal_great=1 / 12, more=False,
        ),
        compared(
            "latency of an order: p99 against p50 (G6)",
            tails, middles, unit="ms", accept=4, great=2.5, more=False,
        ),
        compared(
            "orders over HTTP, FULL against NORMAL (G7)",
            rates, [each.per_second for each in normal], unit="orders/s", accept=0.8, great=0.9,
        ),
        Figure(
            name="bare POSTs over HTTP (F)",
            value=statistics.median(each.per_second for each in bare), unit="requests/s",
        ),
    ]  # fmt: skip
