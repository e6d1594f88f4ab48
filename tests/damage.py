"""Damage for tests: rows changed as one could who has the database in hands."""

from typing import Any

from sqlalchemy import Executable, Table

from market.base.sql import Sql
from market.base.store import Store
from market.base.work import UnitOfWork


async def spoil(store: Store, table: Table, statement: Executable, **parameters: Any) -> None:
    """Change what the database would not let anyone change."""

    def verb(uow: UnitOfWork) -> int:
        if uow.dialect == "postgresql":
            uow.connection.execute(f"ALTER TABLE {table.name} DISABLE TRIGGER USER")
        else:
            named = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
            for (name,) in uow.connection.execute(named, (table.name,)).fetchall():
                uow.connection.execute(f"DROP TRIGGER {name}")
        return uow.run(Sql(statement), **parameters)

    assert await store.write(verb) > 0
