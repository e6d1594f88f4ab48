"""What must always be true of the ledger: guarded by the database, found by ``check`` if not."""

import sqlite3
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import text

from market import ledger
from market.base.database import sqlite_path
from market.base.settings import Settings
from market.base.sql import Sql
from market.base.store import Store
from market.ledger.posting import Leg, post
from tests.money import (
    ORDER,
    balance,
    captured,
    funded,
    held,
    voided,
)


async def test_legs_that_do_not_balance_are_a_bug(store: Store) -> None:
    wallet_id = await funded(store, 500)

    with pytest.raises(AssertionError):
        await store.write(post, [Leg(wallet_id, -5)], reason="test.unbalanced", idempotency_key="k")

    assert await balance(store) == (500, 0)


async def test_the_flows_of_every_escrow_are_told(store: Store) -> None:
    await funded(store, 500)
    escrow = await held(store, 200)
    await captured(store, 120, 2, escrow)
    await voided(store, 30, escrow)

    assert await store.scan(ledger.escrows) == [
        ledger.Escrow(
            order_id=ORDER,
            currency="XTS",
            balance_minor=50,
            held_minor=200,
            captured_minor=120,
            voided_minor=30,
        )
    ]


@pytest.mark.parametrize("table", ["postings", "transactions"])
@pytest.mark.parametrize(
    "act",
    [
        "UPDATE {table} SET amount_minor = amount_minor + 1",
        "DELETE FROM {table}",
        "INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
        "TRUNCATE {table} CASCADE",
    ],
)
async def test_what_is_recorded_cannot_be_changed(store: Store, table: str, act: str) -> None:
    await funded(store, 500)
    if store.settings.dialect == "sqlite":
        act = act.replace("TRUNCATE {table} CASCADE", "DELETE FROM {table} WHERE 1 = 1")
    else:
        act = act.replace("INSERT OR REPLACE", "INSERT")
    statement = Sql(text(act.format(table=table)))

    with pytest.raises(Exception, match=r"append-only|unique"):
        await store.write(lambda uow: uow.run(statement))


@pytest.mark.parametrize("kind", ["wallet", "escrow"])
async def test_the_database_itself_refuses_a_balance_below_zero(store: Store, kind: str) -> None:
    await funded(store, 500)
    await held(store, 200)
    statement = Sql(text(f"UPDATE accounts SET balance_minor = -1 WHERE kind = '{kind}'"))

    with pytest.raises(Exception, match="ck_accounts_balance"):
        await store.write(lambda uow: uow.run(statement))


def damage(settings: Settings, *statements: str) -> None:
    """Change rows past every guard, as one with the database in hands could."""
    if settings.dialect == "sqlite":
        guards = [
            f"DROP TRIGGER {table}_no_{act}"
            for table in ("postings", "transactions")
            for act in ("update", "delete")
        ]
        guards.append("PRAGMA ignore_check_constraints = ON")
        with closing(sqlite3.connect(sqlite_path(settings))) as connection, connection:
            for statement in (*guards, *statements):
                connection.execute(statement)
        return
    guards = [f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in ("postings", "transactions")]
    guards.append("ALTER TABLE accounts DROP CONSTRAINT ck_accounts_balance")
    with psycopg.connect(settings.store) as connection:
        for statement in (*guards, *statements):
            connection.execute(statement.encode())


OF = "transaction_id IN (SELECT id FROM transactions WHERE reason = '{}')"
HOLD = OF.format("escrow.hold")
MINT = OF.format("issuance.mint")
CAPTURE = OF.format("escrow.capture")
WALLET = "account_id IN (SELECT id FROM accounts WHERE kind = 'wallet' AND owner_id LIKE 'b%')"


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (
            [f"UPDATE postings SET amount_minor = amount_minor + 1 WHERE {HOLD} AND {WALLET}"],
            {"V1", "V2"},
        ),
        ([f"DELETE FROM postings WHERE {HOLD} AND {WALLET}"], {"V1", "V2"}),
        ([f"DELETE FROM postings WHERE {HOLD}"], {"V1", "V2", "V4"}),
        ([f"UPDATE postings SET amount_minor = 2 * amount_minor WHERE {HOLD}"], {"V1", "V2", "V4"}),
        (
            [
                "UPDATE transactions SET amount_minor = 400 WHERE reason = 'escrow.hold'",
                f"UPDATE postings SET amount_minor = 2 * amount_minor WHERE {HOLD}",
            ],
            {"V2", "V4"},
        ),
        (
            [
                "UPDATE postings SET amount_minor = amount_minor - 1 "
                f"WHERE {CAPTURE} AND amount_minor > 5"
            ],
            {"V1", "V2"},
        ),
        (
            [f"UPDATE postings SET amount_minor = 2 * amount_minor WHERE {MINT}"],
            {"V1", "V2", "V13"},
        ),
        (["UPDATE transactions SET amount_minor = 1 WHERE reason = 'issuance.mint'"], {"V1"}),
        (["UPDATE transactions SET reason = 'escrow.gift' WHERE reason = 'escrow.void'"], {"V4"}),
        (["DELETE FROM transactions WHERE reason = 'escrow.void'"], {"V1", "V4"}),
        (
            ["UPDATE accounts SET balance_minor = balance_minor + 1 WHERE kind = 'wallet'"],
            {"V2", "V13"},
        ),
        (["UPDATE accounts SET balance_minor = -5 WHERE kind = 'wallet'"], {"V2", "V3", "V13"}),
        (["UPDATE accounts SET balance_minor = 0 WHERE kind = 'escrow'"], {"V2", "V4", "V13"}),
        (["UPDATE accounts SET balance_minor = 1 WHERE kind = 'fees'"], {"V2", "V13"}),
        (["UPDATE accounts SET balance_minor = 1 WHERE kind = 'issuance'"], {"V2"}),
        (["DELETE FROM unfolded_postings WHERE account_id = 'fees:XTS'"], {"V2", "V13"}),
        (
            [
                "UPDATE unfolded_postings SET amount_minor = amount_minor + 1 "
                "WHERE account_id = 'fees:XTS'"
            ],
            {"V2", "V13"},
        ),
        (["UPDATE accounts SET currency = 'EUR' WHERE kind = 'escrow'"], {"V12", "V13"}),
        (["DELETE FROM accounts WHERE kind = 'escrow'"], {"V1", "V13"}),
    ],
)
async def test_planted_damage_is_found(
    settings: Settings, statements: list[str], found: set[str]
) -> None:
    store = Store.open(settings)
    await funded(store, 500)
    await funded(store, 50, "c" * 43)
    escrow = await held(store, 200)
    await captured(store, 120, 3, escrow)
    await voided(store, 30, escrow)
    assert await store.scan(ledger.check) == []
    store.close()

    damage(settings, *statements)

    store = Store.open(settings)
    lines = await store.scan(ledger.check)
    store.close()
    assert {line.partition(" ")[0] for line in lines} == found, lines
