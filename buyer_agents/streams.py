"""Following a log live, over any number of disconnects, with nothing lost or repeated.

``follow_session`` and ``follow_inbox`` read server-sent events, ``follow_socket`` a WebSocket.
Each yields entries in order from the one behind ``after``, and resumes by itself behind the last
one that it yielded. Offsets must be gapless and a session's hash chain must hold. One who leaves
the loop early closes it: ``async with aclosing(follow_session(...)) as log: async for ...``.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Final
from urllib.parse import quote as url_part

import msgspec

from buyer_agents.connection import Connection, Query
from buyer_agents.errors import BadAnswer
from buyer_agents.transports import (
    PATIENCE_SECONDS,
    Frame,
    frames_until,
    open_socket,
    open_sse,
)
from market.protocol.chain import Entry, link, read_entry
from market.protocol.events import GENESIS
from market.protocol.folded import SnapshotView
from market.protocol.wire import MessageView

_SNAPSHOT: Final = "snapshot"
_NO_QUERY: Final[Query] = {}
_FROM: Final[Query] = {"from": _SNAPSHOT}

OpenBehind = Callable[[int], AbstractAsyncContextManager[AsyncIterator[Frame]]]


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
    trees = _resume(lambda seen: _sse(market, path, seen), after, patience_seconds)
    return checked(trees, after)


def follow_socket(
    market: Connection,
    session_id: str,
    after: int = -1,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncGenerator[Entry, None]:
    """Yield the same as ``follow_session``, over a WebSocket."""
    path = f"/v1/sessions/{url_part(session_id)}/socket"
    trees = _resume(
        lambda seen: open_socket(market, path, {"after": seen}), after, patience_seconds
    )
    return checked(trees, after)


async def follow_snapshot(
    market: Connection, session_id: str, *, patience_seconds: float = PATIENCE_SECONDS
) -> AsyncGenerator[SnapshotView | Entry, None]:
    """Yield what a session's log comes to now, then the entries behind it: for late joiners.

    ``fold`` (``market.protocol.folding``) carries the snapshot on, entry by entry.

    Raises:
        As ``follow_session``.
    """
    path = f"/v1/sessions/{url_part(session_id)}/stream"
    trees = _resume(lambda seen: _sse(market, path, seen, _FROM), -1, patience_seconds)
    async with aclosing(trees):
        snapshot = _convert_snapshot(await anext(trees))
        yield snapshot
        rest = checked(trees, snapshot.next_offset - 1, snapshot.head_hash)
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
    trees = _resume(lambda seen: _sse(market, path, seen), after, patience_seconds)
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


async def checked(
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
    open_behind: OpenBehind, after: int, patience_seconds: float
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield decoded entries behind ``after``, and a snapshot where it was asked for."""
    frames = frames_until("closed", lambda: open_behind(after), patience_seconds=patience_seconds)
    async with aclosing(frames):
        async for frame in frames:
            if frame.kind == _SNAPSHOT:
                after = _offset_after(frame.tree)
                yield frame.tree
            elif not frame.kind and offset_of(frame.tree, after) == after + 1:
                after += 1
                yield frame.tree


def _sse(
    market: Connection, path: str, after: int, query: Query = _NO_QUERY
) -> AbstractAsyncContextManager[AsyncIterator[Frame]]:
    last_event_id = str(after) if after >= 0 else None
    return open_sse(market, path, {"after": after, **query}, last_event_id=last_event_id)


def _offset_after(snapshot: dict[str, Any]) -> int:
    """Return the last offset in a snapshot."""
    next_offset = snapshot.get("next_offset")
    if type(next_offset) is not int:
        raise BadAnswer("a snapshot does not say where it ends")
    return next_offset - 1


def offset_of(tree: dict[str, Any], after: int) -> int:
    """Return the offset of an entry: the next one, or one that was seen before."""
    offset = tree.get("offset")
    if type(offset) is not int:
        raise BadAnswer("an entry has no offset")
    if offset > after + 1:
        raise BadAnswer(f"the log jumps from offset {after} to {offset}")
    return offset
