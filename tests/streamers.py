"""Streamers of others, for the audit of streams: one that is whole, five that are broken, some
that are hostile. Raw asyncio on loopback; each broken one has one fault, and no other.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import cycle, islice
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

PACE_SECONDS = 0.012
STEPS = 120
WORKERS = ("left", "right")
EVENTS, LINES = "text/event-stream", "application/x-ndjson"
Entry = dict[str, Any]


class Job:
    """A piece of work with a log. Whoever follows the log gets the past, then what comes."""

    def __init__(self, *, is_relayed: bool = False) -> None:
        self.log: list[Entry] = []
        self.is_over = False
        self._bell = asyncio.Event()
        self._task = asyncio.create_task(self._relay() if is_relayed else self._work())

    def append(self, kind: str, **members: Any) -> None:
        if not self.is_over:
            self.log.append({"offset": len(self.log), "type": kind, **members})
            self._ring()

    def stop(self, kind: str) -> None:
        """End the work with its last entry."""
        self.append(kind)
        self.is_over = True
        self._task.cancel()
        self._ring()

    async def follow(self, after: int = -1) -> AsyncIterator[Entry]:
        while True:
            for entry in self.log[after + 1 :]:
                after = entry["offset"]
                yield entry
            if self.is_over and after + 1 == len(self.log):
                return
            if after + 1 == len(self.log):
                await self._bell.wait()

    def _ring(self) -> None:
        self._bell.set()
        self._bell = asyncio.Event()

    async def _work(self) -> None:
        for author, number in steps():
            await asyncio.sleep(PACE_SECONDS)
            self.append("step", author=author, number=number)
        self.stop("done")

    async def _relay(self) -> None:
        """Tell what a worker did when it is ready with all of it, as orchestrators do."""
        for author in WORKERS:
            mine = [(one, number) for one, number in steps() if one == author]
            await asyncio.sleep(PACE_SECONDS * len(mine))
            for one, number in mine:
                self.append("step", author=one, number=number)
        self.stop("done")


def steps() -> Iterator[tuple[str, int]]:
    """What two workers do at the same time."""
    return zip(islice(cycle(WORKERS), STEPS), range(STEPS), strict=True)


class Call(NamedTuple):
    """One HTTP request, and the connection to answer on."""

    method: str
    path: str
    after: int | None
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self, status: int, document: Entry) -> None:
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} As it is\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()

    async def begin(self, media: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.writer.write(head.encode())
        await self.writer.drain()

    async def send(self, piece: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await self.writer.drain()

    async def finish(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def reader_has_left(self) -> None:
        while await self.reader.read(4_096):
            pass


Handle = Callable[[Call], Awaitable[None]]


@asynccontextmanager
async def http_server(handle: Handle) -> AsyncIterator[str]:
    """Serve ``handle`` within the block, at the address that it gives."""

    lines: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await handle(await read_call(reader, writer))
        writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines[asyncio.create_task(serve_one(reader, writer))] = writer

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task, writer in lines.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*lines, return_exceptions=True)


async def read_call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head)}
    await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    given = headers.get("last-event-id") or parse_qs(parts.query).get("after", [""])[0]
    return Call(method, parts.path, int(given) if given else None, reader, writer)


def framed(entry: Entry, media: str) -> bytes:
    text = json.dumps(entry)
    if media == LINES:
        return f"{text}\n".encode()
    return f"id: {entry['offset']}\nevent: {entry['type']}\ndata: {text}\n\n".encode()


class Runs:
    """``POST /runs``, ``GET /runs/{id}/stream``, ``POST /runs/{id}/cancel``: a durable session."""

    def __init__(self, media: str = EVENTS) -> None:
        self.jobs: dict[str, Job] = {}
        self.media = media

    async def __call__(self, call: Call) -> None:
        if call.path == "/runs":
            name = f"run-{len(self.jobs)}"
            self.jobs[name] = self.begin()
            await call.answer(201, {"run": {"id": name}})
            return
        job = self.jobs[call.path.split("/")[2]]
        if call.path.endswith("/cancel"):
            job.stop("cancelled")
            await call.answer(200, {})
        else:
            await self.stream(call, job)

    def begin(self) -> Job:
        return Job()

    async def stream(self, call: Call, job: Job) -> None:
        await call.begin(self.media)
        async for entry in job.follow(-1 if call.after is None else call.after):
            await call.send(framed(entry, self.media))
        await call.finish()


class Aborting(Runs):
    """A reader that leaves is taken for a cancel."""

    async def stream(self, call: Call, job: Job) -> None:
        leaving = asyncio.create_task(call.reader_has_left())
        leaving.add_done_callback(lambda _: job.stop("aborted"))
        with suppress(ConnectionError):
            await super().stream(call, job)


class Chats(Runs):
    """``POST /chats/{id}`` starts and streams, ``GET /chats/{id}`` resumes: chat apps as they are.

    The first reader's connection may be taken for the stop button, too.
    """

    def __init__(self, *, is_aborting: bool) -> None:
        super().__init__()
        self._is_aborting = is_aborting

    async def __call__(self, call: Call) -> None:
        if call.method == "GET":
            await self.stream(call, self.jobs[call.path])
            return
        job = self.jobs[call.path] = self.begin()
        leaving = asyncio.create_task(call.reader_has_left())
        if self._is_aborting:
            leaving.add_done_callback(lambda _: job.stop("aborted"))
        with suppress(ConnectionError):
            await self.stream(call, job)


class Relaying(Runs):
    """The workers' steps are told by their orchestrator, when each is ready."""

    def begin(self) -> Job:
        return Job(is_relayed=True)


class Forgetting(Runs):
    """The end is told by closing the socket, to those who are there."""

    def __init__(self, *, who_comes_later: Literal["waits", "finds nothing"]) -> None:
        super().__init__()
        self.who_comes_later = who_comes_later

    async def stream(self, call: Call, job: Job) -> None:
        if job.is_over and self.who_comes_later == "finds nothing":
            await call.answer(404, {})
            return
        was_over = job.is_over
        await call.begin(self.media)
        async for entry in job.follow(-1 if call.after is None else call.after):
            if entry["type"] == "step":
                await call.send(framed(entry, self.media))
        if was_over:
            await call.reader_has_left()
        await call.finish()


async def bound(call: Call) -> None:
    """The work is done for one request, in its connection, and goes with it."""
    await call.begin(LINES)
    for author, number in steps():
        await asyncio.sleep(PACE_SECONDS)
        await call.send(framed({"type": "step", "author": author, "number": number}, LINES))
    await call.send(framed({"type": "done"}, LINES))
    await call.finish()


@asynccontextmanager
async def socket_server(*, heeds_after: bool) -> AsyncIterator[str]:
    """Serve durable jobs over WebSocket; one that heeds no offset sends all of it each time."""
    jobs: dict[str, Job] = {}

    async def connected(line: ServerConnection) -> None:
        assert line.request is not None
        parts = urlsplit(line.request.path)
        job = jobs.get(parts.path) or jobs.setdefault(parts.path, Job())
        after = int(parse_qs(parts.query).get("after", ["-1"])[0])
        with suppress(ConnectionClosed):
            async for entry in job.follow(after if heeds_after else -1):
                await line.send(json.dumps(entry))

    async with serve(connected, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


# Hostile ones


@asynccontextmanager
async def huge_message() -> AsyncIterator[str]:
    """A WebSocket whose first message is 10 MB long."""

    async def connected(line: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await line.send("z" * 10_000_000)

    async with serve(connected, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def leading_to(url: str) -> Handle:
    """A server that sends everybody elsewhere, by a redirect and by what it answers."""

    async def lead(call: Call) -> None:
        if call.method == "POST":
            await call.answer(201, {"where": f"{url}/stream"})
            return
        head = f"HTTP/1.1 302 Found\r\nLocation: {url}/\r\nContent-Length: 0\r\n\r\n"
        call.writer.write(head.encode())
        await call.writer.drain()

    return lead


async def strange_ids(call: Call) -> None:
    """Ids that no header can carry, and a type that would clear a terminal."""
    await call.begin(EVENTS)
    for number in range(STEPS):
        await asyncio.sleep(PACE_SECONDS)
        await call.send(f"id: {number}\x01é\nevent: \x1b[2J\ndata: {number}\n\n".encode())
    await call.send(b"event: done\ndata: \x1b[2J\n\n")
    await call.finish()


async def endless_line(call: Call) -> None:
    await call.begin(EVENTS)
    while True:
        await call.send(b"x" * 65_536)


async def huge_frame(call: Call) -> None:
    await call.begin(EVENTS)
    await call.send(b"id: 0\n" + b"data: " + b"y" * 10_000_000 + b"\n\n")
    await call.finish()


async def nameless(call: Call) -> None:
    """Send events without an id, for as long as somebody listens."""
    await call.begin(EVENTS)
    for number in range(1_000):
        await call.send(b"data: %d\n\n" % number)
        await asyncio.sleep(PACE_SECONDS)


async def never_ending(call: Call) -> None:
    await call.begin(EVENTS)
    number = call.after or 0
    while True:
        number += 1
        await call.send(b"id: %d\ndata: {}\n\n" % number * 100)
        await asyncio.sleep(0.001)


async def garbage(call: Call) -> None:
    call.writer.write(bytes(range(256)) * 100)
    await call.writer.drain()


async def silent(call: Call) -> None:
    await call.begin(EVENTS)
    await call.reader_has_left()


async def squeezed(call: Call) -> None:
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n"
    call.writer.write(head.encode() + b"\x1f\x8b")
    await call.writer.drain()


async def refusing(call: Call) -> None:
    await call.answer(403, {})
