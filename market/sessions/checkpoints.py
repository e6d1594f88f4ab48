"""Checkpoints: the market's signature under a place of a log, so that no history is rewritten.

One is made after every ``CHECKPOINT_EVERY`` events and where a session closes, in the unit of work
that appends the event. Whoever keeps one can hold it against any later reading, and against what
others were shown.
"""

from typing import Any, Final, NamedTuple

from sqlalchemy import and_, bindparam, case, func, select

from market.base import streams
from market.base.caller import Caller
from market.base.clock import rfc3339, seconds_of
from market.base.paging import decode_cursor, page_of
from market.base.sql import Sql, insert_ignore
from market.base.work import Snapshot, UnitOfWork
from market.protocol.commitments import CHECKPOINT, CheckpointClaims
from market.protocol.proving import Anchor, LogProof
from market.protocol.wire import CheckpointView, Page
from market.sessions.tables import checkpoints, sessions
from market.sessions.views import head, viewer_of

CHECKPOINT_EVERY: Final = 1_000
"""Events after which the market signs again."""

MAX_BEHIND: Final = 100
"""Sessions that one look finds checkpoints missing in, at most."""

_KEEP: Final = Sql(insert_ignore(checkpoints))
_VIEW = select(
    checkpoints.c.session_id,
    checkpoints.c.offset,
    checkpoints.c.hash,
    checkpoints.c.signed_at,
    checkpoints.c.token,
).where(checkpoints.c.session_id == bindparam("session_id"))
_LIST: Final = Sql(
    _VIEW.where(checkpoints.c.offset > bindparam("after"))
    .order_by(checkpoints.c.offset)
    .limit(bindparam("limit"))
)
_AT: Final = Sql(_VIEW.where(checkpoints.c.offset == bindparam("at")))
_kept = (
    select(checkpoints.c.session_id, func.count().label("number"))
    .group_by(checkpoints.c.session_id)
    .subquery()
)
_stream = streams.streams.c
_ends_between = and_(_stream.is_closed == 1, _stream.next_offset % CHECKPOINT_EVERY != 0)
_due = _stream.next_offset // CHECKPOINT_EVERY + case((_ends_between, 1), else_=0)
_BEHIND: Final = Sql(
    select(sessions.c.id)
    .join_from(sessions, streams.streams, _stream.id == sessions.c.id)
    .outerjoin(_kept, _kept.c.session_id == sessions.c.id)
    .where(sessions.c.id > bindparam("after"), _due > func.coalesce(_kept.c.number, 0))
    .order_by(sessions.c.id)
    .limit(MAX_BEHIND)
)


class Mark(NamedTuple):
    """A place of a log, and the hash that it has there."""

    session_id: str
    offset: int
    hash: str


class Unsigned(NamedTuple):
    """Marks that should be signed and are not. Look again after session ``last_id``, if any."""

    marks: list[Mark]
    last_id: str | None


def sign(uow: UnitOfWork, mark: Mark) -> None:
    """Keep a checkpoint, in the unit of work that appended the event; a repeat changes nothing."""
    uow.run(_KEEP, **mark._asdict(), signed_at=uow.now, token=_signed(uow, mark))


def sign_head(uow: UnitOfWork, *, session_id: str) -> None:
    """Keep a checkpoint of the last event: what a closed session ends with."""
    next_offset, last_hash = head(uow, session_id=session_id)
    sign(uow, Mark(session_id, next_offset - 1, last_hash))


def checkpoints_due(*, next_offset: int, is_closed: bool) -> list[int]:
    """Return the offsets of a log at which the market signs."""
    offsets = list(range(CHECKPOINT_EVERY - 1, next_offset, CHECKPOINT_EVERY))
    if is_closed and next_offset % CHECKPOINT_EVERY:
        offsets.append(next_offset - 1)
    return offsets


def checkpoint(snapshot: Snapshot, *, caller: Caller, session_id: str) -> CheckpointView:
    """Return the market's signature over the last event of a session, as it stands.

    Two readers who compare checkpoints learn whether they were shown the same history.

    Raises:
        SessionNotFound: there is none that the caller takes part in.
    """
    viewer_of(snapshot, caller=caller, session_id=session_id)
    next_offset, last_hash = head(snapshot, session_id=session_id)
    kept = snapshot.one(_AT, session_id=session_id, at=next_offset - 1)
    if kept is not None:
        return _view(kept)
    mark = Mark(session_id, next_offset - 1, last_hash)
    return CheckpointView(
        **mark._asdict(), signed_at=rfc3339(snapshot.now), token=_signed(snapshot, mark)
    )


def checkpoints_of(
    snapshot: Snapshot, *, caller: Caller, session_id: str, cursor: str | None, limit: int
) -> Page[CheckpointView]:
    """Return what the market signed of a session's log so far, in the order of offsets.

    Raises:
        SessionNotFound: there is none that the caller takes part in.
    """
    viewer_of(snapshot, caller=caller, session_id=session_id)
    key = decode_cursor(cursor, (int,))
    after = key[0] if key else -1
    rows = snapshot.all(_LIST, session_id=session_id, after=after, limit=limit + 1)
    return page_of(rows, limit=limit, view=_view, key=lambda row: (row.offset,))


def checkpoints_kept(snapshot: Snapshot, *, session_id: str) -> list[CheckpointView]:
    """Return every checkpoint that is kept of a session. For those who own the store."""
    most = streams.MAX_PAGE
    found: list[CheckpointView] = []
    while page := snapshot.all(
        _LIST, session_id=session_id, after=found[-1].offset if found else -1, limit=most
    ):
        found += map(_view, page)
    return found


def checkpoints_missing(snapshot: Snapshot, *, after: str) -> Unsigned:
    """Return the marks that lack a checkpoint in the next sessions behind id ``after``.

    A log that does not hold together is not signed: the audit says what is wrong with it. What a
    fork shares was judged with its source.
    """
    behind = snapshot.all(_BEHIND, after=after)
    marks = [mark for row in behind for mark in _unsigned_in(snapshot, row.id)]
    return Unsigned(marks, behind[-1].id if behind else None)


def sign_missing(uow: UnitOfWork, *, marks: list[Mark]) -> int:
    """Keep the checkpoints that ``checkpoints_missing`` found missing; a repeat changes nothing."""
    for mark in marks:
        sign(uow, mark)
    return len(marks)


def _unsigned_in(snapshot: Snapshot, session_id: str) -> list[Mark]:
    stream = streams.stream(snapshot, stream_id=session_id)
    assert stream is not None, "it was counted in this very snapshot"
    wanted = checkpoints_due(next_offset=stream.next_offset, is_closed=stream.is_closed)
    signed = checkpoints_kept(snapshot, session_id=session_id)
    known = [Anchor(one.offset, one.hash) for one in signed]
    lacking = sorted(set(wanted) - {anchor.offset for anchor in known})
    inherited = _inherited(snapshot, stream)
    if inherited.keys() >= set(lacking):
        return [Mark(session_id, offset, inherited[offset]) for offset in lacking]
    proof = LogProof(session_id, wanted={*wanted, *(anchor.offset for anchor in known)})
    after = -1
    while page := streams.read(snapshot, stream_id=session_id, after=after).entries:
        for entry in page:
            proof.take_bytes(entry.data, is_stored=True)
        after = page[-1].offset
    if proof.report(known).flaws or proof.head != stream.head:
        return []
    return [Mark(session_id, offset, *proof.hashes[offset]) for offset in lacking]


def _inherited(snapshot: Snapshot, fork: streams.Stream) -> dict[int, str]:
    """Return the hashes that a fork shares and its sources were signed with: none need be read."""
    hashes: dict[int, str] = {}
    stream: streams.Stream | None = fork
    shared = fork.next_offset
    while stream is not None and stream.source_id is not None and stream.forked_at is not None:
        shared = min(shared, stream.forked_at)
        signed = checkpoints_kept(snapshot, session_id=stream.source_id)
        hashes |= {one.offset: one.hash for one in signed if one.offset < shared}
        stream = streams.stream(snapshot, stream_id=stream.source_id)
    return hashes


def _signed(snapshot: Snapshot, mark: Mark) -> str:
    claims = CheckpointClaims(
        iss=snapshot.settings.issuer,
        aud=snapshot.settings.issuer,
        iat=seconds_of(snapshot.now),
        **mark._asdict(),
    )
    return snapshot.signer.sign(claims, typ=CHECKPOINT)


def _view(row: Any) -> CheckpointView:
    return CheckpointView(
        session_id=row.session_id,
        offset=row.offset,
        hash=row.hash,
        signed_at=rfc3339(row.signed_at),
        token=row.token,
    )
