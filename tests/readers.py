"""Readers of a session's log that keep the very bytes they got, and come back after every cut."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

LIMIT_SECONDS = 60.0
PAUSE_SECONDS = 0.02


class Place(msgspec.Struct):
    """What a reader must know of an event to come back behind it."""

    offset: int


class Events(msgspec.Struct):
    """A page of the log, its events as they stand in it."""

    items: list[msgspec.Raw]
    closed: bool


class Copy:
    """What one reader has: the very bytes of each event, in the order they came."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.is_complete = False
        self.openings = 0

    @property
    def after(self) -> int:
        return msgspec.json.decode(self.events[-1], type=Place).offset if self.events else -1


async def read_sse(copy: Copy, url: str, session_id: str, bearer: str) -> None:
    """Read one stream until it ends or is cut; only whole frames count."""
    headers = {"authorization": bearer}
    if copy.after >= 0:
        headers["last-event-id"] = str(copy.after)
    address = f"{url}/v1/sessions/{session_id}/stream"
    async with (
        httpx.AsyncClient(trust_env=False, timeout=LIMIT_SECONDS) as http,
        http.stream("GET", address, headers=headers) as answer,
    ):
        copy.openings += 1
        waiting = b""
        async for piece in answer.aiter_bytes():
            *frames, waiting = (waiting + piece).split(b"\n\n")
            for frame in frames:
                lines = frame.split(b"\n")
                if lines[0] == b"event: closed":
                    copy.is_complete = True
                elif lines[0].startswith(b"id: "):
                    copy.events.append(lines[1].removeprefix(b"data: "))


async def read_polls(copy: Copy, url: str, session_id: str, bearer: str) -> None:
    """Read page by page, each by a long poll, until the log ends or a poll fails."""
    address = f"{url}/v1/sessions/{session_id}/events"
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT_SECONDS) as http:
        while not copy.is_complete:
            query = {"after": copy.after, "wait_seconds": 5}
            answer = await http.get(address, params=query, headers={"authorization": bearer})
            copy.openings += 1
            page = msgspec.json.decode(answer.content, type=Events)
            copy.events += [bytes(item) for item in page.items]
            copy.is_complete = page.closed


async def read_socket(copy: Copy, url: str, session_id: str, bearer: str) -> None:
    """Read one WebSocket until it ends or is cut."""
    address = f"ws{url.removeprefix('http')}/v1/sessions/{session_id}/socket?after={copy.after}"
    async with connect(
        address, additional_headers={"authorization": bearer}, proxy=None, close_timeout=1
    ) as line:
        copy.openings += 1
        async for frame in line:
            assert isinstance(frame, str)
            if frame.startswith('{"closed"'):
                copy.is_complete = True
            else:
                copy.events.append(frame.encode())


Read = Callable[[Copy, str, str, str], Awaitable[None]]


async def read_on(read: Read, url: str, session_id: str, bearer: str) -> Copy:
    """Read to the end of the log, coming back after every cut."""
    copy = Copy()
    while not copy.is_complete:
        try:
            await read(copy, url, session_id, bearer)
        except (httpx.TransportError, WebSocketException, OSError, EOFError):
            # A market that starts needs the machine more than one who knocks.
            await asyncio.sleep(PAUSE_SECONDS)
    return copy
