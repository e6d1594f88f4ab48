"""Following a log live, over any number of disconnects, with nothing lost or repeated.

``follow_session`` and ``follow_inbox`` read server-sent events, ``follow_socket`` a WebSocket.
Each yields entries in order from the one behind ``after``, and resumes by itself behind the last
one that it yielded. Offsets must be gapless and a session's hash chain must hold. One who leaves
the loop early closes it: ``async with aclosing(follow_session(...)) as log: async for ...``.
"""

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import quote as url_part

import anyio
import httpx
import httpx_sse
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus, WebSocketException

from buyer_agents.connection import HTTP_UNAUTHORIZED, Connection, Query, wait_before_repeat
from buyer_agents.errors import BadAnswer, MarketUnreachable, Refused, refusal
from market.protocol.chain import Entry, link, read_entry
from market.protocol.events import GENESIS
from market.protocol.folded import SnapshotView
from market.protocol.wire import MessageView

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


class Frame(NamedTuple):
    """One frame of either transport: an entry (kind ""), a snapshot, or the server's last word.

    After "closed" nothing ever follows; after any other last word the reader comes back.
    """

    kind: str
    tree: dict[str, Any]


_SNAPSHOT: Final = "snapshot"
_NO_QUERY: Final[Query] = {}
_FROM: Final[Query] = {"from": _SNAPSHOT}

OpenFrames = Callable[[int], AbstractAsyncContextManager[AsyncIterator[Frame]]]


def follow_session(
    market: Connection,
    session_id: str,
    after: int = -1,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncGenerator[Entry, None]:
    """Yield a session's entries behind offset ``after`` until the session is closed.

    Raises:
        Refused: the session is not this reader's to see.
        MarketUnreachable: the market stayed away longer than ``patience_seconds``.
        BrokenChain: the log was changed.
    """
    path = f"/v1/sessions/{url_part(session_id)}/stream"
    trees = _resume(lambda seen: _open_sse(market, path, seen), after, patience_seconds)
    return _checked(trees, after)


def follow_socket(
    market: Connection,
    session_id: str,
    after: int = -1,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncGenerator[Entry, None]:
    """Yield the same as ``follow_session``, over a WebSocket."""
    path = f"/v1/sessions/{url_part(session_id)}/socket"
    trees = _resume(lambda seen: _open_socket(market, path, seen), after, patience_seconds)
    return _checked(trees, after)


async def follow_snapshot(
    market: Connection, session_id: str, *, patience_seconds: float = PATIENCE_SECONDS
) -> AsyncGenerator[SnapshotView | Entry, None]:
    """Yield what a session's log comes to now, then the entries behind it: for late joiners.

    ``fold`` (``market.protocol.folding``) carries the snapshot on, entry by entry.

    Raises:
        As ``follow_session``.
    """
    path = f"/v1/sessions/{url_part(session_id)}/stream"
    trees = _resume(lambda seen: _open_sse(market, path, seen, _FROM), -1, patience_seconds)
    async with aclosing(trees):
        snapshot = _convert_snapshot(await anext(trees))
        yield snapshot
        rest = _checked(trees, snapshot.next_offset - 1, snapshot.head_hash)
        async with aclosing(rest):
            async for entry in rest:
                yield entry


async def follow_inbox(
    market: Connection, after: int = -1, *, patience_seconds: float = PATIENCE_SECONDS
) -> AsyncGenerator[MessageView, None]:
    """Yield this agent's messages behind offset ``after``, without end.

    Raises:
        MarketUnreachable: the market stayed away longer than ``patience_seconds``.
    """
    path = "/v1/inbox/stream"
    trees = _resume(lambda seen: _open_sse(market, path, seen), after, patience_seconds)
    async with aclosing(trees):
        async for tree in trees:
            try:
                yield msgspec.convert(tree, MessageView, strict=True)
            except msgspec.ValidationError as error:
                raise BadAnswer(f"a message of the inbox: {error}") from error


def _convert_snapshot(tree: dict[str, Any]) -> SnapshotView:
    try:
        return msgspec.convert(tree, SnapshotView, strict=True, str_keys=True)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"a snapshot: {error}") from error


async def _checked(
    trees: AsyncGenerator[dict[str, Any], None], after: int, prev_hash: str | None = None
) -> AsyncGenerator[Entry, None]:
    """Turn decoded entries into events, each linked to the one before, if that is known."""
    prev_hash = GENESIS if after < 0 else prev_hash
    async with aclosing(trees):
        async for tree in trees:
            try:
                entry = read_entry(tree)
            except msgspec.ValidationError as error:
                raise BadAnswer(f"an entry of the log: {error}") from error
            prev_hash = link(entry, offset=entry.offset, prev_hash=prev_hash)
            yield entry


async def _resume(
    open_frames: OpenFrames, after: int, patience_seconds: float
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield decoded entries behind ``after``, opening the stream anew whenever it is cut."""
    absence = _Absence(patience_seconds)
    while True:
        away_seconds = 0.0
        try:
            async with open_frames(after) as frames:
                absence.opened()
                async for frame in frames:
                    if frame.kind == "closed":
                        return
                    if frame.kind == _SNAPSHOT:
                        absence.over()
                        after = _offset_after(frame.tree)
                        yield frame.tree
                        continue
                    if frame.kind:
                        # Who comes back at once may meet the same server on its way out.
                        away_seconds = _DRAIN_SECONDS if frame.kind == "drain" else 0.0
                        break
                    absence.over()
                    if _offset_of(frame.tree, after) == after + 1:
                        after += 1
                        yield frame.tree
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
async def _open_sse(
    market: Connection, path: str, after: int, query: Query = _NO_QUERY
) -> AsyncGenerator[AsyncIterator[Frame], None]:
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if after >= 0:
        headers["Last-Event-ID"] = str(after)
    async with (
        market.stream(path, query={"after": after, **query}, headers=headers) as response,
        aclosing(_sse_frames(response)) as frames,
    ):
        yield frames


async def _sse_frames(response: httpx.Response) -> AsyncGenerator[Frame, None]:
    async with aclosing(httpx_sse.EventSource(response).aiter_sse()) as events:
        async for event in events:
            # A heartbeat between two events reads as an event without data.
            if event.data:
                kind = "" if event.event == "message" else event.event
                yield Frame(kind, _decode(event.data))


@asynccontextmanager
async def _open_socket(
    market: Connection, path: str, after: int
) -> AsyncGenerator[AsyncIterator[Frame], None]:
    url = f"ws{market.url.removeprefix('http')}{path}?after={after}"
    async with await _dial(market, url) as socket, aclosing(_socket_frames(socket)) as frames:
        yield frames


async def _dial(market: Connection, url: str) -> ClientConnection:
    """Open a WebSocket; if the token is no longer taken, once more with a new one."""
    stale: str | None = None
    while True:
        bearer = await market.authorization(stale=stale)
        try:
            return await connect(
                url,
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
            if _SNAPSHOT in tree:
                yield Frame(_SNAPSHOT, tree[_SNAPSHOT])
            else:
                yield Frame("closed" if "closed" in tree else "", tree)
    except ConnectionClosedError as closed:
        if closed.rcvd is None or closed.rcvd.code != _SERVICE_RESTART:
            raise
        yield Frame("drain", {})


def _decode(data: str | bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadAnswer(f"a frame is no JSON object: {error}") from error


def _offset_after(snapshot: dict[str, Any]) -> int:
    """Return the last offset in a snapshot."""
    next_offset = snapshot.get("next_offset")
    if type(next_offset) is not int:
        raise BadAnswer("a snapshot does not say where it ends")
    return next_offset - 1


def _offset_of(tree: dict[str, Any], after: int) -> int:
    """Return the offset of an entry: the next one, or one that was seen before."""
    offset = tree.get("offset")
    if type(offset) is not int:
        raise BadAnswer("an entry has no offset")
    if offset > after + 1:
        raise BadAnswer(f"the log jumps from offset {after} to {offset}")
    return offset
