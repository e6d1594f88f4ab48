"""Counting a buyer's open sessions, for its quota."""

from typing import Final

from sqlalchemy import bindparam, func, select

from market.base.sql import Sql
from market.base.work import Snapshot
from market.sessions.tables import sessions

_OPEN: Final = Sql(
    select(func.count().label("total"))
    .select_from(sessions)
    .where(sessions.c.buyer_id == bindparam("buyer_id"), sessions.c.closed_at.is_(None))
)


def count_open(snapshot: Snapshot, agent_id: str) -> int:
    """Return how many sessions a buyer has open."""
    return int(snapshot.one(_OPEN, buyer_id=agent_id).total)
