"""Counting and weighing an agent's notes, for its quotas."""

from typing import Any, Final

from sqlalchemy import Executable, LargeBinary, bindparam, cast, func, select, type_coerce
from sqlalchemy import Text as PlainText

from market.base.sql import PerDialect, Sql, sum_of
from market.base.work import Snapshot
from market.memory.tables import notes

_COUNT: Final = Sql(
    select(func.count().label("total"))
    .select_from(notes)
    .where(notes.c.agent_id == bindparam("agent_id"))
)
_text = type_coerce(notes.c.value, PlainText)


def _weight(size: Any) -> Executable:
    return select(sum_of(size).label("total")).where(notes.c.agent_id == bindparam("agent_id"))


_WEIGH: Final = Sql(
    PerDialect(_weight(func.length(cast(_text, LargeBinary))), _weight(func.octet_length(_text)))
)


def count_notes(snapshot: Snapshot, agent_id: str) -> int:
    """Return how many notes an agent keeps, those whose time is just over among them."""
    return int(snapshot.one(_COUNT, agent_id=agent_id).total)


def weigh_notes(snapshot: Snapshot, agent_id: str) -> int:
    """Return how many bytes the values of an agent's notes have."""
    return int(snapshot.one(_WEIGH, agent_id=agent_id).total)
