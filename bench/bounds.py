"""Clients that ask for too much, in full size: what each costs the market, and what others wait.

One market bears them one after another. For each: the memory that it took at most, above what the
market held before; what it was told; and how long another client waited for its answers, beside
what it waits in peace. Driver and server share the machine, so both waits hold the driver's work.
"""

import asyncio
import os
import resource
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from bench import abuse
from bench.abuse import MIB, Borne, Place, Told
from bench.cast import SETTINGS, Agent, Cast
from bench.harness import Figure, Report, Server, console, percentile, workplace
from bench.wire import lines, request_of
from market.protocol.wire import Close, OpenSession, SessionView, WriteEvent, WriteEvents

SECONDS: Final = float(os.environ.get("BOUNDS_SECONDS", "45"))
"""How long slow, deaf and endless clients go on: longer than a stalled reader is borne."""

READERS: Final = 500
BAD_READERS: Final = 50
BATCHES: Final = 16
PEACE_SECONDS: Final = 3.0
OTHERS_P99_MS: Final = 1_000.0
SPARE_FILES: Final = 4_096

_NOTE: Final = WriteEvent(kind="note.written", body={"text": "z" * 50_000})
_BATCH: Final = WriteEvents(events=[_NOTE] * 16)


class Trial(NamedTuple):
    """One kind of abuse, and how much memory it may take."""

    name: str
    work: Callable[[Place], Awaitable[Told]]
    most_mib: float


TRIALS: Final = (
    Trial(
        f"{BAD_READERS} readers of a byte a second",
        lambda place: abuse.slow_readers(place, BAD_READERS, SECONDS),
        BAD_READERS * 4,
    ),
    Trial(
        f"{BAD_READERS} readers that never read",
        lambda place: abuse.deaf_readers(place, BAD_READERS, SECONDS),
        BAD_READERS * 4,
    ),
    Trial(
        f"{READERS} readers at once from the start",
        lambda place: abuse.stampede(place, READERS),
        READERS,
    ),
    Trial(
        "32 bodies of 10 MiB",
        lambda place: abuse.big_bodies(place, 32, 10 * MIB, _events(place.open_id)),
        64,
    ),
    Trial(
        "32 bodies without an end",
        lambda place: abuse.endless_bodies(place, 32, _events(place.open_id)),
        64,
    ),
    Trial(
        "8 producers without an end",
        lambda place: abuse.endless_producers(place, 8, SECONDS, _events(place.open_id), _BATCH),
        128,
    ),
    Trial(
        "16 floods of 100,000 pings",
        lambda place: abuse.ping_flood(place, 16, 100_000),
        16 * 8,
    ),
    Trial(
        "32 frames of 10 MiB",
        lambda place: abuse.big_frames(place, 32, 10 * MIB),
        32 * 16,
    ),
)


def run() -> Report:
    """Measure, and return the figures."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(SPARE_FILES, most), most))
    return asyncio.run(_measure())


async def _measure() -> Report:
    figures: list[Figure] = []
    with workplace() as folder, Server("market", folder, **SETTINGS) as market:
        cast = Cast(market.issuer, buyers=2, sellers=0)
        await cast.renew(market.port)
        loud, calm = cast.buyers
        place = await _furnish(market, loud)
        peace = await _bear(market, calm, _silence(PEACE_SECONDS))
        for trial in TRIALS:
            await cast.renew(market.port)
            borne = await _bear(market, calm, trial.work(place._replace(token=loud.token)))
            console.print(f"{trial.name}: told {dict(borne.told)}")
            figures += _figures(trial, borne, peace)
    return Report("Clients that ask for too much", figures, [1.0])


async def _furnish(market: Server, buyer: Agent) -> Place:
    """Make a closed session of 13 MB, and one that stays open."""
    async with lines(market.port, 1) as [line]:
        opening = OpenSession(need="everything")
        full = await buyer.post(line, "/v1/sessions", opening, SessionView, key="full")
        empty = await buyer.post(line, "/v1/sessions", opening, SessionView, key="empty")
        write = request_of("POST", _events(full.id), _BATCH, token=buyer.token)
        for _ in range(BATCHES):
            await line.call(write, expect=201)
        path = f"/v1/sessions/{full.id}/close"
        await line.call(request_of("POST", path, Close(), token=buyer.token))
    return Place(market.port, buyer.token, full.id, empty.id)


async def _bear(market: Server, calm: Agent, work: Awaitable[Told]) -> Borne:
    me = request_of("GET", "/v1/me", token=calm.token)
    return await abuse.meanwhile(work, market.port, me, market.resident_bytes)


async def _silence(seconds: float) -> Told:
    await asyncio.sleep(seconds)
    return Told()


def _figures(trial: Trial, borne: Borne, peace: Borne) -> list[Figure]:
    return [
        Figure(
            name=f"{trial.name}: memory", value=borne.grown_bytes / MIB, unit="MiB",
            goal_accept=trial.most_mib, more=False,
        ),
        Figure(
            name=f"{trial.name}: others' p99", value=percentile(borne.waited, 0.99) * 1e3,
            unit="ms", baseline=percentile(peace.waited, 0.99) * 1e3,
            goal_accept=OTHERS_P99_MS, more=False,
        ),
    ]  # fmt: skip


def _events(session_id: str) -> str:
    return f"/v1/sessions/{session_id}/events"
