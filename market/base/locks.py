"""Locks by name, for what has no row yet that could be locked."""

from typing import Final

from sqlalchemy import bindparam, func, select

from market.base.sql import Sql
from market.base.work import UnitOfWork

_NUMBER = func.hashtextextended(bindparam("name"), 0)
_ALONE: Final = Sql(select(func.pg_advisory_xact_lock(_NUMBER)))
_SHARED: Final = Sql(select(func.pg_advisory_xact_lock_shared(_NUMBER)))


def lock(uow: UnitOfWork, *names: str, is_shared: bool = False) -> None:
    """Keep other workers that lock one of ``names`` waiting until this unit of work has ended.

    Those that share a name keep only those waiting who want it alone. SQLite has one writer, which
    is alone in any case.
    """
    if uow.dialect == "postgresql":
        for name in sorted(names):
            uow.one(_SHARED if is_shared else _ALONE, name=name)
