"""Endpoints of HTTP services as raw servers: what they answer is in their hands, byte by byte."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

from market.protocol.signing import SigningKey
from seller_services import Seller
from tests.town import MANIFEST

NDJSON = "Content-Type: application/x-ndjson"
CHUNKED = "Transfer-Encoding: chunked"


class Call(NamedTuple):
    """One request as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def tree(self) -> Any:
        return json.loads(self.body)


Answering = Callable[[Call, asyncio.StreamWriter], Awaitable[None]]


class Endpoint:
    """A server on this machine that counts who connects."""

    def __init__(self, answering: Answering, host: str = "127.0.0.1", port: int = 0) -> None:
        self.answering = answering
        self.connections = 0
        self.calls: list[Call] = []
        self._place = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, *self._place)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}/work"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            call = await read_call(reader)
            self.calls.append(call)
            await self.answering(call, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            self._tasks.discard(task)
            writer.close()


async def read_call(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = [line.partition(": ") for line in head.split("\r\n")[1:-2]]
    headers = {name.lower(): value for name, _, value in lines}
    return Call(headers, await reader.readexactly(int(headers["content-length"])))


def headed(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with its length."""
    return headed(f"Content-Length: {len(body)}", *headers, status=status) + body


def piece(data: bytes) -> bytes:
    """A part of a body in chunked coding; the empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def line(**members: Any) -> bytes:
    return json.dumps(members).encode() + b"\n"


def pages(call: Call, start: int = 0) -> list[bytes]:
    return [line(output={"page": page}, units=1) for page in call.tree["input"]["pages"][start:]]


def saying(answer: bytes) -> Answering:
    """Answer everybody with the same bytes."""

    async def say(_: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return say


async def reading_well(call: Call, writer: asyncio.StreamWriter) -> None:
    """Deliver each page."""
    writer.write(whole(b"".join(pages(call)), NDJSON))


def http_seller(
    folder: Path,
    endpoint: str,
    *,
    slug: str = "reader",
    key: SigningKey | None = None,
    concurrency: int = 2,
) -> Seller:
    """A seller whose service is behind an endpoint on this machine."""
    text = MANIFEST.format(slug=slug, price="0.10", refund="within-window")
    text = text.replace("concurrency = 2", f"concurrency = {concurrency}, max_chunks = 8")
    path = folder / f"{slug}.toml"
    path.write_text(f'endpoint = "{endpoint}"\n{text}', "utf-8")
    return Seller(path, key=key or SigningKey.generate(), handle=slug, calls_loopback=True)
