"""Create and fork: a path gets a stream, once; the same request again finds it."""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from market.base import streams
from market.base.caller import Caller
from market.base.sql import Sql, insert
from market.base.work import UnitOfWork
from market.rawstreams import content, linking, stirring
from market.rawstreams.counting import need_room_for_stream
from market.rawstreams.errors import (
    BadStreamRequest,
    ContentTypeDiffers,
    SourceDeleted,
    StreamDeleted,
    StreamExists,
)
from market.rawstreams.removing import give_up
from market.rawstreams.rows import (
    ANYONE,
    Access,
    RawStream,
    for_reading,
    has_forks,
    is_lapsed,
    locked,
    locked_by_id,
    standing,
)
from market.rawstreams.tables import raw_streams

_ADD: Final = Sql(insert(raw_streams, omit=("is_watched",)))


class Fork(NamedTuple):
    """Where a new stream branches off: by default at the source's tail.

    ``within`` counts messages (JSON) or bytes past ``offset``, inside the next request's content.
    """

    source_path: str
    offset: int | None
    within: int


class NewStream(NamedTuple):
    """How a stream is to be. ``content_type`` None: the source's, or octets."""

    content_type: str | None
    ttl_seconds: int | None
    expires_at: datetime | None
    is_closed: bool
    access: Access
    fork: Fork | None
    body: bytes


class Created(NamedTuple):
    """Where the stream stands; ``is_new`` unless it was there, just so, before."""

    stream: RawStream
    is_new: bool


def create(uow: UnitOfWork, *, caller: Caller | None, path: str, new: NewStream) -> Created:
    """Make a stream at a path. The same again changes nothing.

    Raises:
        StreamExists: there is one that is not just so, or that is another's.
        BadStreamRequest, BadContent: a fork beyond its source, content that is not of its type.
        StreamNotFound, SourceDeleted, ContentTypeDiffers: the source cannot be forked so.
        QuotaExceeded: the caller has as many streams, or as much in them, as it may.
    """
    there = locked(uow, path=path)
    if there is not None:
        if there.state == "live" and not is_lapsed(there, uow.now):
            _check_own(there, caller)
            return _again(uow, there, new)
        if has_forks(uow, stream_id=there.id):
            _check_own(there, caller)
            how = "deleted" if there.state == "deleted" else "expired"
            raise StreamExists(f"The {how} stream at this path still has forks.")
        give_up(uow, there)
    return Created(_make(uow, caller, path, new), is_new=True)


def _check_own(there: Any, caller: Caller | None) -> None:
    """Refuse strangers without a word about what has their path."""
    owner_id = _owner(caller)
    if there.owner_id not in (owner_id, ANYONE):
        raise StreamExists("Choose another path.")


def _again(uow: UnitOfWork, there: Any, new: NewStream) -> Created:
    wanted = new.content_type
    if wanted is None:
        wanted = content.OCTETS if new.fork is None else there.content_type
    has_same_form = (
        content.media_of(wanted) == content.media_of(there.content_type)
        and _has_same_time(there, new)
        and new.is_closed == there.is_closed
        and new.access == there.access
        and _has_same_source(uow, there, new.fork)
    )
    if not has_same_form:
        raise StreamExists("The stream at this path was created in another form.")
    return Created(standing(there), is_new=False)


def _has_same_time(there: Any, new: NewStream) -> bool:
    if new.fork is not None and new.ttl_seconds is None and new.expires_at is None:
        return True  # inherited at the time
    return bool(new.ttl_seconds == there.ttl_seconds and new.expires_at == there.expires_at)


def _has_same_source(uow: UnitOfWork, there: Any, fork: Fork | None) -> bool:
    if fork is None or there.source_id is None:
        return fork is None and there.source_id is None
    source = locked_by_id(uow, stream_id=there.source_id)
    return (
        source is not None
        and source.path == fork.source_path
        and fork.offset in (None, there.forked_at)
        and fork.within == there.forked_within
    )


def _make(uow: UnitOfWork, caller: Caller | None, path: str, new: NewStream) -> RawStream:
    stream_id = uow.new_id("str")
    source = None if new.fork is None else _source(uow, caller, new.fork, new.content_type)
    content_type = new.content_type or (source.content_type if source else content.OCTETS)
    data = [content.stored(new.body, content_type)] if new.body else []
    if source is None or new.fork is None:
        first = 0
        streams.create(uow, stream_id=stream_id)
    else:
        first = source.next_offset if new.fork.offset is None else new.fork.offset
        data = _within(uow, source, first, new.fork.within) + data
        streams.fork(uow, stream_id=stream_id, source_id=source.id, next_offset=first)
    data = [item for item in data if item]
    size = sum(map(len, data))
    need_room_for_stream(uow, owner_id=_owner(caller), size=size)
    ttl_seconds, expires_at = new.ttl_seconds, new.expires_at
    if source is not None and ttl_seconds is None and expires_at is None:
        ttl_seconds, expires_at = source.ttl_seconds, source.expires_at
    lapses_at = expires_at if ttl_seconds is None else uow.now + timedelta(seconds=ttl_seconds)
    uow.run(
        _ADD,
        id=stream_id,
        path=path,
        owner_id=_owner(caller),
        access=new.access,
        content_type=content_type,
        ttl_seconds=ttl_seconds,
        expires_at=expires_at,
        lapses_at=lapses_at,
        source_id=source.id if source else None,
        forked_at=first if source else None,
        forked_within=new.fork.within if new.fork else 0,
        state="live",
        last_seq=None,
        closed_by=None,
        created_at=uow.now,
    )
    if data:
        claimed = streams.claim(uow, stream_id=stream_id)
        streams.put(uow, stream_id=stream_id, claimed=claimed, data=data)
    if new.is_closed:
        streams.close(uow, stream_id=stream_id)
    is_followed = linking.greet(
        uow,
        stream_id=stream_id,
        path=path,
        owner_id=_owner(caller),
        access=new.access,
        first=first,
    )
    if is_followed and data:
        stirring.stir(uow, stream_id)
    row = locked_by_id(uow, stream_id=stream_id)
    assert row is not None, "it was made a moment ago"
    return standing(row)


def _owner(caller: Caller | None) -> str:
    return ANYONE if caller is None else caller.agent_id


def _source(uow: UnitOfWork, caller: Caller | None, fork: Fork, content_type: str | None) -> Any:
    try:
        row = for_reading(uow, locked(uow, path=fork.source_path), caller)
    except StreamDeleted as refusal:
        raise SourceDeleted("Fork one of its forks.") from refusal
    if content_type is not None and (
        content.media_of(content_type) != content.media_of(row.content_type)
    ):
        raise ContentTypeDiffers(
            f"The source holds {row.content_type}.", content_type=row.content_type
        )
    if fork.offset is not None and fork.offset > row.next_offset:
        raise BadStreamRequest("Stream-Fork-Offset lies beyond the source's tail.")
    return row


def _within(uow: UnitOfWork, source: Any, offset: int, within: int) -> list[bytes]:
    """Return what a fork takes of the request that lies right after its branching point."""
    if not within:
        return []
    found = streams.read(uow, stream_id=source.id, after=offset - 1, limit=1).entries
    part = content.prefix(found[0].data, within, source.content_type) if found else None
    if part is None:
        raise BadStreamRequest("Stream-Fork-Sub-Offset passes the end of the next request.")
    return [part]
