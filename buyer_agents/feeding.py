"""Following many sessions over one connection, with nothing lost or repeated in any of them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Literal, NamedTuple

import msgspec

from buyer_agents.connection import Connection
from buyer_agents.errors import BadAnswer
from buyer_agents.streams import offset_of
from buyer_agents.transports import (
    PATIENCE_SECONDS,
    Frame,
    frames_until,
    open_socket,
    open_sse,
)
from market.protocol.chain import Entry, link, read_entry
from market.protocol.events import GENESIS


class Followed(NamedTuple):
    """The next entry of one of the sessions; None once that session is closed and read."""

    session_id: str
    entry: Entry | None


async def follow_feed(
    market: Connection,
    after: Mapping[str, int],
    *,
    over: Literal["sse", "socket"] = "sse",
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncGenerator[Followed, None]:
    """Yield the entries of sessions, each behind its offset (-1: from the start), as they come.

    Each session is in its own order, its hash chain is checked; it ends when all are closed. One
    who leaves early closes it: ``async with aclosing(follow_feed(...)) as feed: async for ...``.

    Raises:
        Refused: one of the sessions is not this reader's to see, or they are more than 100.
        MarketUnreachable: the market stayed away longer than ``patience_seconds``.
        BrokenChain: a log was changed.
    """
    logs = {session_id: _Log(offset) for session_id, offset in after.items()}
    if not logs:
        return
    open_over = open_sse if over == "sse" else open_socket
    frames = frames_until(
        "end",
        lambda: open_over(market, f"/v1/feed{'' if over == 'sse' else '/socket'}", _query(logs)),
        patience_seconds=patience_seconds,
    )
    async with aclosing(frames):
        async for frame in frames:
            session_id = _session_of(frame, logs)
            if frame.kind == "closed":
                del logs[session_id]
                yield Followed(session_id, None)
                if not logs:
                    return
            elif (entry := logs[session_id].take(frame.tree)) is not None:
                yield Followed(session_id, entry)


class _Log:
    """Where the reader stands in one session."""

    def __init__(self, after: int) -> None:
        self.after = after
        self._head = GENESIS if after < 0 else None

    def take(self, tree: dict[str, Any]) -> Entry | None:
        """Return the entry in a frame, or None for one that was seen before."""
        try:
            entry = read_entry(tree["event"])
        except (KeyError, TypeError, msgspec.ValidationError) as error:
            raise BadAnswer(f"an entry of a feed: {error!r}") from error
        if offset_of(tree["event"], self.after) <= self.after:
            return None
        self._head = link(entry, offset=self.after + 1, prev_hash=self._head)
        self.after += 1
        return entry


def _query(logs: Mapping[str, _Log]) -> dict[str, str | int | float | list[str] | None]:
    return {"session": [f"{session_id}:{log.after}" for session_id, log in logs.items()]}


def _session_of(frame: Frame, logs: Mapping[str, _Log]) -> str:
    session_id = frame.tree.get("session_id")
    if not isinstance(session_id, str) or session_id not in logs:
        raise BadAnswer(f"a frame of a feed is of no session that is followed: {frame.tree!r:.200}")
    return session_id
