"""Counting with an end: to know that there are few takes no longer when there are many."""

from typing import Any, Final

from sqlalchemy import Select, func, select

from market.base.sql import Sql
from market.base.work import Snapshot

FEW: Final = 100


def up_to_few(rows: Select[Any]) -> Sql:
    """Return a statement that counts these rows, and stops behind ``FEW``."""
    first = rows.limit(FEW + 1).subquery("first")
    return Sql(select(func.count().label("total")).select_from(first))


def few(snapshot: Snapshot, counted: Sql, **parameters: Any) -> int | None:
    """Return how many there are, by a statement from ``up_to_few``; None if there are more."""
    total = int(snapshot.one(counted, **parameters).total)
    return total if total <= FEW else None
