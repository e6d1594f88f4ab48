"""Counting a buyer's open sessions, for its quota."""

from typing import Final

from sqlalchemy import bindparam, func, select

from market.base.counting import few, up_to_few
from market.base.sql import Sql
from market.base.work import Snapshot
from market.sessions.tables import sessions

_THEIRS: Final = (sessions.c.buyer_id == bindparam("buyer_id"), sessions.c.closed_at.is_(None))
_OPEN: Final = Sql(select(func.count().label("total")).select_from(sessions).where(*_THEIRS))
_FEW: Final = up_to_few(select(sessions.c.id).where(*_THEIRS))


def count_open(snapshot: Snapshot, agent_id: str) -> int:
    """Return how many sessions a buyer has open."""
    return int(snapshot.one(_OPEN, buyer_id=agent_id).total)


def few_open(snapshot: Snapshot, agent_id: str) -> int | None:
    """Return how many sessions a buyer has open if these are few: a quick look."""
    return few(snapshot, _FEW, buyer_id=agent_id)
