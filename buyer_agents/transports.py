"""Live frames over SSE or a WebSocket, opened anew whenever the connection is cut."""

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, Final, NamedTuple

import anyio
import httpx
import httpx_sse
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus, WebSocketException

from buyer_agents.connection import HTTP_UNAUTHORIZED, Connection, Query, wait_before_repeat
from buyer_agents.errors import BadAnswer, MarketUnreachable, Refused, refusal

PATIENCE_SECONDS: Final = 60.0
"""How long a reader tries to come back before it gives up."""

_STEADY_SECONDS: Final = 5.0
_FIRST_WAIT_SECONDS: Final = 0.05
_MAX_WAIT_SECONDS: Final = 2.0
_DRAIN_SECONDS: Final = 0.5
_PING_SECONDS: Final = 10.0
_SERVICE_RESTART: Final = 1012
_MAX_FRAME_BYTES: Final = 1 << 22
_CUT: Final = (MarketUnreachable, httpx.TransportError, WebSocketException, OSError)
_LEAVING: Final = frozenset({"drain", "expired", "revoked"})
_SOCKET_KINDS: Final = ("closed", "snapshot", "problem")


class Frame(NamedTuple):
    """One frame of either transport; an entry has the kind "". ``data`` is the frame as it came."""

    kind: str
    tree: dict[str, Any]
    data: str | bytes = b""


OpenFrames = Callable[[], AbstractAsyncContextManager[AsyncIterator[Frame]]]


async def frames_until(
    last: str, open_frames: OpenFrames, *, patience_seconds: float
) -> AsyncGenerator[Frame, None]:
    """Yield frames until the ``last`` kind of them, opening the stream anew whenever it is cut.

    ``open_frames`` asks for what its caller has not seen yet.

    Raises:
        Refused: the stream is not this reader's to see.
        MarketUnreachable: the market stayed away longer than ``patience_seconds``.
    """
    absence = _Absence(patience_seconds)
    while True:
        away_seconds = 0.0
        try:
            async with open_frames() as frames:
                absence.opened()
                async for frame in frames:
                    if frame.kind == last:
                        return
                    if frame.kind in _LEAVING:
                        # Who comes back at once may meet the same server on its way out.
                        away_seconds = _DRAIN_SECONDS if frame.kind == "drain" else 0.0
                        break
                    absence.over()
                    yield frame
            await absence.wait(None, at_least=away_seconds)
        except _CUT as error:
            await absence.wait(error)
        except Refused as refused:
            if not wait_before_repeat(refused):
                raise
            await absence.wait(refused)


class _Absence:
    """Bounds how long the market may be away, and spreads the attempts to reach it."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._opened_at: float | None = None
        self._since: float | None = None
        self._wait_seconds = 0.0

    def opened(self) -> None:
        self._opened_at = anyio.current_time()

    def over(self) -> None:
        """The market spoke: the next attempt is again the first."""
        self._since = None
        self._wait_seconds = 0.0

    async def wait(self, error: Exception | None, *, at_least: float = 0.0) -> None:
        """Wait before the next attempt: not at all after a cut, then longer and longer.

        Raises:
            MarketUnreachable: patience has run out.
        """
        now = anyio.current_time()
        if self._opened_at is not None and now - self._opened_at >= _STEADY_SECONDS:
            self.over()
        self._opened_at = None
        self._since = now if self._since is None else self._since
        if now - self._since > self._patience_seconds:
            raise MarketUnreachable(f"no stream for {self._patience_seconds} s") from error
        # Many readers are cut at once when a market stops; chance keeps them from one rush.
        await anyio.sleep(max(self._wait_seconds, at_least) * random.uniform(0.5, 1.0))  # noqa: S311
        self._wait_seconds = min(
            max(self._wait_seconds * 2, _FIRST_WAIT_SECONDS), _MAX_WAIT_SECONDS
        )


@asynccontextmanager
async def open_sse(
    market: Connection, path: str, query: Query, *, last_event_id: str | None = None
) -> AsyncGenerator[AsyncIterator[Frame], None]:
    """Open a stream of server-sent events; the kind of a frame is that of its event."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    async with (
        market.stream(path, query=query, headers=headers) as response,
        aclosing(_sse_frames(response)) as frames,
    ):
        yield frames


@asynccontextmanager
async def open_socket(
    market: Connection, path: str, query: Query
) -> AsyncGenerator[AsyncIterator[Frame], None]:
    """Open a WebSocket; the kind of a frame is its member that says it, or else ""."""
    url = f"ws{market.url.removeprefix('http')}{path}?{httpx.QueryParams(dict(query))}"
    async with await _dial(market, url) as socket, aclosing(_socket_frames(socket)) as frames:
        yield frames


async def _sse_frames(response: httpx.Response) -> AsyncGenerator[Frame, None]:
    async with aclosing(httpx_sse.EventSource(response).aiter_sse()) as events:
        async for event in events:
            # A heartbeat between two events reads as an event without data.
            if event.data:
                kind = "" if event.event == "message" else event.event
                yield Frame(kind, _decode(event.data), event.data)


async def _dial(market: Connection, url: str) -> ClientConnection:
    """Open a WebSocket; if the token is no longer taken, once more with a new one."""
    stale: str | None = None
    while True:
        bearer = await market.authorization(stale=stale)
        try:
            return await connect(
                url,
                sock=None if market.dial is None else market.dial(market.url),
                additional_headers={"Authorization": bearer},
                proxy=None,
                max_size=_MAX_FRAME_BYTES,
                close_timeout=1.0,
                ping_interval=_PING_SECONDS,
                ping_timeout=_PING_SECONDS,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if stale is not None or status != HTTP_UNAUTHORIZED:
                raise refusal(status, bytes(error.response.body or b"")) from error
            stale = bearer


async def _socket_frames(socket: ClientConnection) -> AsyncGenerator[Frame, None]:
    try:
        async for message in socket:
            tree = _decode(message)
            kind = next((kind for kind in _SOCKET_KINDS if kind in tree), "")
            yield Frame(kind, tree, message)
    except ConnectionClosedError as closed:
        if closed.rcvd is None or closed.rcvd.code != _SERVICE_RESTART:
            raise
        yield Frame("drain", {})


def _decode(data: str | bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadAnswer(f"a frame is no JSON object: {error}") from error
