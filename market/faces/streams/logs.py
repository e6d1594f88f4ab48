"""What this face reads: raw streams, and sessions as the caller may see them."""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from market import rawstreams, sessions
from market.base import streams
from market.base.caller import Caller
from market.base.errors import Unauthenticated
from market.base.store import Store
from market.base.work import Entry, Snapshot
from market.faces.http.answers import JSON
from market.rawstreams import BadStreamRequest, RawStream

SESSION: Final = "ses_"
"""A path that begins so is a session's: read here, and written in its own room."""


class Page(NamedTuple):
    """Entries after an offset, and where their stream stood then."""

    entries: list[Entry]
    next_offset: int
    is_closed: bool


class Log(NamedTuple):
    """A stream that was looked up for one caller. ``view``: an entry as that caller gets it."""

    stream: RawStream
    view: Callable[[Entry], bytes] | None


def is_session(path: str) -> bool:
    """Whether a path is a session's."""
    return path.startswith(SESSION)


def need_raw(path: str) -> None:
    """Let pass a path that this face writes.

    Raises:
        BadStreamRequest: it is a session's, or reserved.
    """
    if is_session(path):
        raise BadStreamRequest("Write a session's events at /v1/sessions/{session_id}/events.")
    if path.startswith("__"):
        raise BadStreamRequest("Paths that begin with two underscores are the protocol's own.")


def need_writing(caller: Caller | None) -> None:
    """Let pass who may write; None is anyone, where the settings open streams to all.

    Raises:
        InsufficientScope: its token lets it read alone.
    """
    if caller is not None:
        caller.need("oversee" if caller.kind in ("principal", "overseer") else "order")


def look_up(snapshot: Snapshot, *, caller: Caller | None, path: str) -> Log:
    """Return the stream at a path, if the caller may read it.

    Raises:
        StreamNotFound, StreamDeleted, SessionNotFound: it is not there for the caller.
        Unauthenticated: nobody is asking for a session.
    """
    if not is_session(path):
        if caller is not None:
            caller.need("read")
        return Log(rawstreams.look_up(snapshot, caller=caller, path=path), None)
    if caller is None:
        raise Unauthenticated("Sessions need an access token.")
    viewer = sessions.viewer_of(snapshot, caller=caller, session_id=path)
    found = streams.stream(snapshot, stream_id=path)
    assert found is not None, "a session has a stream"
    stream = RawStream(
        path, path, JSON, found.next_offset, found.is_closed, is_private=True, ttl_seconds=None,
        expires_at=None,
    )  # fmt: skip
    view = None if viewer.is_owner else partial(sessions.shown, viewer=viewer)
    return Log(stream, view)


async def read_in_turn(store: Store, log: Log, *, after: int, limit: int, max_bytes: int) -> Page:
    """Return what follows offset ``after``, one reader behind the other (``Hub.turn``).

    Raises:
        StreamNotFound, StreamDeleted: it went in the meantime.
    """
    async with store.hub.turn():
        return await store.read(
            read_page, log=log, after=min(after, 2**62), limit=limit, max_bytes=max_bytes
        )


def read_page(snapshot: Snapshot, *, log: Log, after: int, limit: int, max_bytes: int) -> Page:
    """Return what follows offset ``after``.

    Raises:
        StreamNotFound, StreamDeleted: it went in the meantime.
    """
    stream_id = log.stream.id
    if is_session(stream_id):
        found = streams.read(
            snapshot, stream_id=stream_id, after=after, limit=limit, max_bytes=max_bytes
        )
        return Page(found.entries, found.next_offset, found.is_closed)
    part = rawstreams.read(
        snapshot, stream_id=stream_id, after=after, limit=limit, max_bytes=max_bytes
    )
    return Page(part.entries, part.stream.next_offset, part.stream.is_closed)
