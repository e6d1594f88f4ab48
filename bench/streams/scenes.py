"""What is done to each server: five scenes, each on streams of its own."""

import asyncio
import functools
import time
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from bench.harness import Served, percentile
from bench.streams.sockets import (
    STAMP,
    Caller,
    SseReader,
    Writer,
    append,
    get,
    opened,
    put,
    sockets,
    stamped,
)

Live = Literal["sse", "long-poll"]

MESSAGE: Final = b'{"kind":"note.written","text":"' + b"x" * 110 + b'"}'
WRITERS: Final = (1, 64)
APPEND_SECONDS: Final = 1.5

LIVE_APPENDS: Final = 300
LIVE_PACE_SECONDS: Final = 0.005

AUDIENCES: Final = (100, 500)
FAN_OUT_APPENDS: Final = 30
FAN_OUT_PACE_SECONDS: Final = 0.06

PAGE: Final = b'{"page":"' + b"y" * 4_085 + b'"}'
PAGES: Final = 16_384
"""64 MiB in messages of 4 KiB."""

RETURNING: Final = 200
MISSED: Final = 100
"""Messages that each reader which comes back has missed."""

LIMIT_SECONDS: Final = 240.0
MIB: Final = 1 << 20


class Sample(NamedTuple):
    """What one scene of one server came to."""

    name: str
    unit: str
    value: float
    more: bool = False


async def create(server: Served, name: str) -> str:
    """Create a stream and return its path."""
    path = f"/v1/stream/{name}"
    caller = await opened(server.port, Caller)
    await caller.call(put(path))
    caller.close()
    return path


async def write(server: Served, request: bytes, writers: int, go_on: Callable[[], bool]) -> int:
    """Send one append over and over on so many connections; return how many were answered."""
    make = functools.partial(Writer, request, go_on)
    async with asyncio.timeout(LIMIT_SECONDS), sockets(server.port, [make] * writers) as lines:
        for line in lines:
            line.start()
        await asyncio.gather(*(line.done for line in lines))
        return sum(line.answers for line in lines)


async def fill(server: Served, path: str, message: bytes, number: int) -> None:
    """Append a message so many times, as single messages."""
    left = iter(range(number - 64))
    await write(server, append(path, message), 64, lambda: next(left, None) is not None)


async def appends(server: Served, label: str) -> list[Sample]:
    """Append to one stream, by one writer and by many, as fast as each is answered."""
    samples = []
    for writers in WRITERS:
        path = await create(server, f"append-{writers}-{label}")
        cpu, began = server.cpu_seconds(), time.perf_counter()
        end = began + APPEND_SECONDS
        request = append(path, MESSAGE)
        number = await write(server, request, writers, lambda: time.perf_counter() < end)  # noqa: B023
        seconds = time.perf_counter() - began
        cpu = server.cpu_seconds() - cpu
        name = f"append, {writers} writer{'s' if writers > 1 else ''}"
        samples += [
            Sample(name, "1/s", number / seconds, more=True),
            Sample(f"{name}: CPU", "µs", cpu / number * 1e6),
        ]
    return samples


async def live(server: Served, label: str) -> list[Sample]:
    """Append at a steady pace to a stream that one reader waits at, in either mode."""
    samples = []
    modes: tuple[Live, ...] = ("sse", "long-poll")
    for mode in modes:
        path = await create(server, f"live-{mode}-{label}")
        read = _read_sse if mode == "sse" else _read_long_poll
        is_ready = asyncio.Event()
        cpu = server.cpu_seconds()
        async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as group:
            reading = group.create_task(read(server, path, is_ready))
            await is_ready.wait()
            await _append_steadily(server, path, LIVE_APPENDS, LIVE_PACE_SECONDS)
        cpu = server.cpu_seconds() - cpu
        ages = reading.result()
        name = f"append to {mode} reader"
        samples += [
            Sample(f"{name}: p50", "ms", percentile(ages, 0.50)),
            Sample(f"{name}: p99", "ms", percentile(ages, 0.99)),
            Sample(f"{name}: CPU an append", "µs", cpu / LIVE_APPENDS * 1e6),
        ]
    return samples


async def _append_steadily(server: Served, path: str, number: int, pace: float) -> None:
    loop = asyncio.get_running_loop()
    caller = await opened(server.port, Caller)
    due = loop.time()
    for _ in range(number):
        await caller.call(append(path, stamped(100)))
        due += pace
        await asyncio.sleep(max(0, due - loop.time()))
    caller.close()


async def _read_sse(server: Served, path: str, is_ready: asyncio.Event) -> list[float]:
    opening = get(path, "-1", "sse")
    reader = await opened(server.port, lambda: SseReader(opening, LIVE_APPENDS))
    await reader.caught_up.wait()
    is_ready.set()
    await reader.complete.wait()
    reader.close()
    return reader.ages


async def _read_long_poll(server: Served, path: str, is_ready: asyncio.Event) -> list[float]:
    caller = await opened(server.port, Caller)
    offset = (await caller.call(get(path, "-1"))).next_offset
    ages: list[float] = []
    is_ready.set()
    while len(ages) < LIVE_APPENDS:
        answer = await caller.call(get(path, offset, "long-poll"))
        offset = answer.next_offset
        ages += [
            (answer.received_ns - int(stamp[1])) / 1e6 for stamp in STAMP.finditer(answer.body)
        ]
    caller.close()
    return ages


async def fan_out(server: Served, label: str) -> list[Sample]:
    """Append at a slow pace to a stream with many SSE readers."""
    samples = []
    for audience in AUDIENCES:
        path = await create(server, f"fan-out-{audience}-{label}")
        make = functools.partial(SseReader, get(path, "-1", "sse"), FAN_OUT_APPENDS)
        async with (
            asyncio.timeout(LIMIT_SECONDS),
            sockets(server.port, [make] * audience) as readers,
        ):
            await asyncio.gather(*(reader.caught_up.wait() for reader in readers))
            cpu = server.cpu_seconds()
            await _append_steadily(server, path, FAN_OUT_APPENDS, FAN_OUT_PACE_SECONDS)
            await asyncio.gather(*(reader.complete.wait() for reader in readers))
            cpu = server.cpu_seconds() - cpu
        ages = [age for reader in readers for age in reader.ages]
        name = f"fan-out to {audience}"
        samples += [
            Sample(f"{name}: p50", "ms", percentile(ages, 0.50)),
            Sample(f"{name}: p99", "ms", percentile(ages, 0.99)),
            Sample(f"{name}: CPU a delivery", "µs", cpu / len(ages) * 1e6),
        ]
    return samples


async def shelve(server: Served) -> str:
    """Write the stream that catching up reads; return its path."""
    path = await create(server, "pages")
    await fill(server, path, PAGE, PAGES)
    return path


async def catch_up(server: Served, path: str) -> list[Sample]:
    """Read a long stream from its start, in chunks and by SSE."""
    mebibytes = len(PAGE) * PAGES / MIB
    samples = []
    for name, read in (("GET", _read_chunks), ("SSE", _read_on)):
        cpu, began = server.cpu_seconds(), time.perf_counter()
        async with asyncio.timeout(LIMIT_SECONDS):
            size = await read(server, path)
        seconds = time.perf_counter() - began
        cpu = server.cpu_seconds() - cpu
        assert size >= mebibytes * MIB, "something is missing"
        samples += [
            Sample(f"catch-up by {name}", "MiB/s", mebibytes / seconds, more=True),
            Sample(f"catch-up by {name}: CPU", "ms/MiB", cpu / mebibytes * 1e3),
        ]
    return samples


async def _read_chunks(server: Served, path: str) -> int:
    caller = await opened(server.port, Caller)
    offset, is_up_to_date, size = "-1", False, 0
    while not is_up_to_date:
        answer = await caller.call(get(path, offset))
        offset, is_up_to_date = answer.next_offset, answer.is_up_to_date
        size += len(answer.body)
    caller.close()
    return size


async def _read_on(server: Served, path: str) -> int:
    opening = get(path, "-1", "sse")
    reader = await opened(server.port, lambda: SseReader(opening))
    await reader.caught_up.wait()
    reader.close()
    return reader.bytes


async def come_back(server: Served, label: str) -> list[Sample]:
    """Let many readers that have missed some messages connect at the same moment."""
    path = await create(server, f"return-{label}")
    await fill(server, path, MESSAGE, 10 * MISSED)
    caller = await opened(server.port, Caller)
    offset = (await caller.call(get(path, "now"))).next_offset
    for _ in range(MISSED):
        await caller.call(append(path, MESSAGE))
    caller.close()
    opening = get(path, offset, "sse")
    cpu, began = server.cpu_seconds(), time.perf_counter()
    async with asyncio.timeout(LIMIT_SECONDS):
        readers = await asyncio.gather(
            *(opened(server.port, lambda: SseReader(opening)) for _ in range(RETURNING))
        )
        await asyncio.gather(*(reader.caught_up.wait() for reader in readers))
    cpu = server.cpu_seconds() - cpu
    waits = [(reader.caught_up_at - began) * 1e3 for reader in readers]
    for reader in readers:
        assert reader.bytes >= MISSED * len(MESSAGE), "something is missing"
        reader.close()
    name = f"{RETURNING} readers come back"
    return [
        Sample(f"{name}: all served", "ms", max(waits)),
        Sample(f"{name}: CPU a reader", "µs", cpu / RETURNING * 1e6),
    ]
