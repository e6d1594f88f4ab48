"""Marks: what moved, and so may mean that somebody is to be woken.

An append marks its stream, and a wake's end its subscription, each in its own unit of work. A mark
is removed with the wakes that it leads to: a crash between the two loses neither.
"""

from typing import Final

from sqlalchemy import bindparam, delete, select

from market.base.sql import Sql, upsert
from market.base.work import Snapshot, UnitOfWork
from market.rawstreams.tables import stirred

BELL: Final = "subscriptions"
"""What rings, in the place of a stream's id, when there are wakes to see to."""

MARKS_AT_ONCE: Final = 20

# On PostgreSQL it must lock the mark that is there: whoever removes it then sees this change.
_MARK: Final = Sql(upsert(stirred, keys=("id",), set_={"stirred_at": bindparam("stirred_at")}))
_MARKS: Final = Sql(
    select(stirred.c.id).order_by(stirred.c.stirred_at, stirred.c.id).limit(MARKS_AT_ONCE)
)
_ANY: Final = Sql(select(stirred.c.id).limit(1))
_UNMARK: Final = Sql(delete(stirred).where(stirred.c.id == bindparam("marked")))


def stir(uow: UnitOfWork, marked: str) -> None:
    """Mark a stream or a subscription, by its id, and ring for those who see to wakes."""
    uow.run(_MARK, id=marked, stirred_at=uow.now)
    uow.ring(BELL, [])


def is_stirred(snapshot: Snapshot) -> bool:
    """Whether anything is marked."""
    return snapshot.one(_ANY) is not None


def marks(snapshot: Snapshot) -> list[str]:
    """Return a slice of what is marked, first what waits longest."""
    return [mark.id for mark in snapshot.all(_MARKS)]


def unmark(uow: UnitOfWork, marked: str) -> None:
    """Remove a mark; what is read after this sees every change that left it."""
    uow.run(_UNMARK, marked=marked)
