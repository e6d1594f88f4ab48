"""Reading at rest: HEAD, catch-up in chunks, and the long poll."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

from market import rawstreams
from market.base import streams
from market.base.clock import Clock
from market.base.errors import Overloaded
from market.base.store import Store
from market.faces.http.answers import Header
from market.faces.streams.frames import body_of, cursor_at
from market.faces.streams.headers import Wanted, time_headers, write_offset
from market.faces.streams.logs import Log, Page, read_in_turn

CHUNK: Final = 1024 * 1024
"""Bytes after which an answer stops, with at least one entry."""

CHUNK_ENTRIES: Final = 2_000
"""And entries: all who are served wait while they are read, 1 ms for each thousand."""

_SHARED_CACHE: Final = (b"cache-control", b"public, max-age=60, stale-while-revalidate=300")
_PRIVATE_CACHE: Final = (b"cache-control", b"private, max-age=0")
_NO_STORE: Final = (b"cache-control", b"no-store")
UP_TO_DATE: Final = (b"stream-up-to-date", b"true")
CLOSED: Final = (b"stream-closed", b"true")


class Reply(NamedTuple):
    """An answer's status, headers and body."""

    status: int
    headers: tuple[Header, ...]
    body: bytes = b""


def head(log: Log) -> Reply:
    """Say where a stream stands."""
    stream = log.stream
    return Reply(
        200,
        (
            (b"content-type", stream.content_type.encode("latin-1")),
            next_offset(stream.next_offset),
            _NO_STORE,
            *time_headers(stream.ttl_seconds, stream.expires_at),
            *((CLOSED,) if stream.is_closed else ()),
        ),
    )


async def catch_up(store: Store, log: Log, wanted: Wanted, if_none_match: bytes | None) -> Reply:
    """Return one chunk of what follows an offset."""
    if wanted.after is None:
        return _at_tail(log)
    page = await _read(store, log, wanted.after)
    return _chunk(log, wanted.after, page, if_none_match, ())


async def long_poll(
    store: Store,
    log: Log,
    wanted: Wanted,
    if_none_match: bytes | None,
    clock: Clock,
    check: Callable[[], Awaitable[object]],
) -> Reply:
    """Return what follows an offset, or wait for it; 204 when nothing came in time.

    ``check`` is asked after each wait, and raises for who may no longer read.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + store.settings.long_poll_seconds
    after = log.stream.next_offset - 1 if wanted.after is None else wanted.after
    with store.hub.listen(log.stream.id) as ear:
        page = await _read(store, log, after)
        while not page.entries and not page.is_closed and not store.hub.is_draining:
            left = deadline - loop.time()
            if left <= 0:
                break
            await ear.wait(min(left, streams.bell_seconds(store)))
            await check()
            ear.take(after)  # It is read from the log; what comes from now on rings anew.
            page = await _read(store, log, after)
    cursor = cursor_at(clock.now(), wanted.cursor)
    told = (b"stream-cursor", str(cursor).encode())
    if page.entries:
        return _chunk(log, after, page, if_none_match, (told,))
    ends = ((CLOSED,) if page.is_closed else ()) + (UP_TO_DATE, _NO_STORE, told)
    return Reply(204, (next_offset(page.next_offset), *ends))


async def touch(store: Store, log: Log) -> None:
    """Let the time to live of a stream that has one begin anew: somebody reads it."""
    if log.stream.ttl_seconds is not None:
        # Where nothing can be written, what is there can still be read.
        with suppress(Overloaded):
            await store.write(rawstreams.touch, stream_id=log.stream.id)


def next_offset(offset: int) -> Header:
    """Return the header that says where a stream goes on."""
    return (b"stream-next-offset", write_offset(offset))


async def _read(store: Store, log: Log, after: int) -> Page:
    return await read_in_turn(store, log, after=after, limit=CHUNK_ENTRIES, max_bytes=CHUNK)


def _at_tail(log: Log) -> Reply:
    stream = log.stream
    ends = (CLOSED,) if stream.is_closed else ()
    headers = (
        (b"content-type", stream.content_type.encode("latin-1")),
        next_offset(stream.next_offset),
        UP_TO_DATE,
        _NO_STORE,
        *ends,
    )
    return Reply(200, headers, body_of([], stream.content_type, None))


def _chunk(
    log: Log, after: int, page: Page, if_none_match: bytes | None, extra: tuple[Header, ...]
) -> Reply:
    stream = log.stream
    following = page.entries[-1].offset + 1 if page.entries else page.next_offset
    is_tail = following >= page.next_offset
    mark = ":c" if page.is_closed and is_tail else ""
    tag = f'"{stream.id}:{after + 1}:{following}{mark}"'.encode()
    headers: tuple[Header, ...] = (
        (b"etag", tag),
        next_offset(following),
        _PRIVATE_CACHE if stream.is_private else _SHARED_CACHE,
        *((UP_TO_DATE,) if is_tail else ()),
        *((CLOSED,) if mark else ()),
        *extra,
    )
    if if_none_match is not None and tag in (part.strip() for part in if_none_match.split(b",")):
        return Reply(304, headers)
    kind = (b"content-type", stream.content_type.encode("latin-1"))
    return Reply(200, (kind, *headers), body_of(page.entries, stream.content_type, log.view))
