"""Stirred streams: marks left by appends that somebody is to be woken for.

The mark is written with the append, and removed with the wakes that it leads to: a crash between
the two loses neither.
"""

from typing import Final

from sqlalchemy import bindparam, delete, select

from market.base.sql import Sql, upsert
from market.base.work import Snapshot, UnitOfWork
from market.rawstreams.tables import stirred

BELL: Final = "subscriptions"
"""What rings, in the place of a stream's id, when there are wakes to see to."""

MARKS_AT_ONCE: Final = 20

# On PostgreSQL it must lock the mark that is there: whoever removes it then sees this append.
_MARK: Final = Sql(
    upsert(stirred, keys=("stream_id",), set_={"stirred_at": bindparam("stirred_at")})
)
_MARKS: Final = Sql(
    select(stirred.c.stream_id)
    .order_by(stirred.c.stirred_at, stirred.c.stream_id)
    .limit(MARKS_AT_ONCE)
)
_ANY: Final = Sql(select(stirred.c.stream_id).limit(1))
_UNMARK: Final = Sql(delete(stirred).where(stirred.c.stream_id == bindparam("stream_id")))


def stir(uow: UnitOfWork, *, stream_id: str) -> None:
    """Mark a watched stream as moved, and ring for those who wake its subscriptions."""
    uow.run(_MARK, stream_id=stream_id, stirred_at=uow.now)
    uow.ring(BELL, [])


def is_stirred(snapshot: Snapshot) -> bool:
    """Whether any stream is marked."""
    return snapshot.one(_ANY) is not None


def marks(snapshot: Snapshot) -> list[str]:
    """Return a slice of the marked streams, those that wait longest first."""
    return [mark.stream_id for mark in snapshot.all(_MARKS)]


def unmark(uow: UnitOfWork, *, stream_id: str) -> None:
    """Remove a mark; what is read after this sees every append that left it."""
    uow.run(_UNMARK, stream_id=stream_id)
