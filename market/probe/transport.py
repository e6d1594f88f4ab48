"""Opening a stream: HTTP answers and WebSockets as one sequence of frames, within bounds."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidStatus,
    WebSocketException,
)

from market.probe.form import LimitsPart, StreamPart
from market.probe.frames import (
    Decoder,
    EventDecoder,
    Frame,
    LineDecoder,
    TooLarge,
    WordDecoder,
)

EVENTS: Final = "text/event-stream"
CONNECT_SECONDS: Final = 5.0
_TOO_BIG: Final = 1009
_SAY_THE_END: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.GONE)
_PLAIN: Final = ("", "identity")


class Request(NamedTuple):
    """A request that is ready to be sent; ``messages`` are for a WebSocket."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    body: bytes | None = None
    messages: tuple[str, ...] = ()

    @property
    def is_socket(self) -> bool:
        """Whether it opens a WebSocket."""
        return urlsplit(self.url).scheme in ("ws", "wss")


class Unreachable(Exception):
    """Nobody answers there."""


class NotTaken(Exception):
    """The server refused the stream with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class SaidOver(NotTaken):
    """The server answered with a status that says that no more comes (204 or 410)."""


class Broken(Exception):
    """What came is no stream, or passes the bounds."""


Answered = Callable[[int, str], None]
"""Is told the status and what the stream turned out to be: SSE, chunked or WebSocket."""


async def frames(
    http: httpx.AsyncClient,
    request: Request,
    *,
    stream: StreamPart,
    limits: LimitsPart,
    answered: Answered,
) -> AsyncGenerator[Frame, None]:
    """Yield the frames of a stream until the server ends the connection.

    Raises:
        Unreachable: there is no connection.
        NotTaken: the server refused.
        Broken: what came is no stream, or is too large.
    """
    source = (
        _socket_frames(request, limits, answered)
        if request.is_socket
        else _http_frames(http, request, stream, limits, answered)
    )
    try:
        async with aclosing(source) as coming:
            async for frame in coming:
                yield frame
    except TooLarge as error:
        raise Broken(str(error)) from error


async def _http_frames(
    http: httpx.AsyncClient,
    request: Request,
    stream: StreamPart,
    limits: LimitsPart,
    answered: Answered,
) -> AsyncGenerator[Frame, None]:
    try:
        async with http.stream(
            request.method,
            request.url,
            headers=httpx.Headers(request.headers, encoding="utf-8"),
            content=request.body,
        ) as answer:
            if not answer.is_success or answer.status_code == HTTPStatus.NO_CONTENT:
                is_over = answer.status_code in _SAY_THE_END
                raise (SaidOver if is_over else NotTaken)(answer.status_code)
            if answer.headers.get("content-encoding", "") not in _PLAIN:
                raise Broken("the answer is compressed, though identity was asked for")
            kind, decoder = _decoder(answer, stream, limits)
            answered(answer.status_code, kind)
            async for piece in answer.aiter_raw():
                for frame in decoder.feed(piece):
                    yield frame
            for frame in decoder.rest():
                yield frame
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise Unreachable(f"no connection: {_reason(error)}") from error
    except (httpx.LocalProtocolError, httpx.InvalidURL) as error:
        # What it says would show the header's value.
        raise Broken("the request cannot be sent as it is") from error
    except (httpx.TransportError, httpx.StreamError) as error:
        raise Broken(f"the connection broke: {_reason(error)}") from error


def _decoder(answer: httpx.Response, stream: StreamPart, limits: LimitsPart) -> tuple[str, Decoder]:
    is_event_stream = answer.headers.get("content-type", "").lower().startswith(EVENTS)
    if stream.transport == "sse" or (stream.transport == "auto" and is_event_stream):
        return "SSE", EventDecoder(limits.frame_bytes)
    if stream.split == "word":
        return "chunked", WordDecoder(limits.frame_bytes)
    return "chunked", LineDecoder(limits.frame_bytes)


class _Connect(connect):
    """A connection to the server that was named, and to no other, whatever it answers."""

    def process_redirect(self, exc: Exception) -> Exception:
        """Return the answer as the failure that it is."""
        return exc


async def _socket_frames(
    request: Request, limits: LimitsPart, answered: Answered
) -> AsyncGenerator[Frame, None]:
    try:
        connection = await _Connect(
            request.url,
            additional_headers=request.headers,
            proxy=None,
            compression=None,
            open_timeout=CONNECT_SECONDS,
            max_size=limits.frame_bytes,
            max_queue=4,
        )
    except InvalidStatus as error:
        raise NotTaken(error.response.status_code) from error
    except WebSocketException as error:
        raise Broken("the handshake of the WebSocket failed") from error
    except (OSError, EOFError) as error:
        raise Unreachable(f"no connection: {_reason(error)}") from error
    answered(HTTPStatus.SWITCHING_PROTOCOLS, "WebSocket")
    try:
        for message in request.messages:
            await connection.send(message)
        async for frame in connection:
            yield Frame(frame.encode() if isinstance(frame, str) else frame)
    except ConnectionClosed as error:
        _judge_close(limits, error)
    finally:
        # As a network cuts it: a closing handshake would tell the server that we meant to go.
        connection.transport.abort()


def _judge_close(limits: LimitsPart, error: ConnectionClosed) -> None:
    """Return if the server closed the socket; that we had to close it is an error."""
    if error.sent is None or error.rcvd_then_sent:
        return
    if error.sent.code == _TOO_BIG:
        raise Broken(f"a frame is longer than {limits.frame_bytes:,} bytes") from error
    raise Broken("what came breaks the WebSocket protocol") from error


def _reason(error: Exception) -> str:
    """Return what an operating system or a library says, without addresses."""
    text = str(error) or type(error).__name__
    return text if len(text) <= 80 else type(error).__name__
