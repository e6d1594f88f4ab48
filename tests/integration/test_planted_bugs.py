"""A zero is believed of a checker that was seen to count: each bug here is planted, and caught.

Each checker runs twice: on the product, where it finds nothing, and on the product with one guard
taken out, by the test alone. The other planted bugs, which need a kill, are in
``tests/e2e/test_crash_driver.py``.
"""

import asyncio
import shutil
import threading
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, select, text, update

from market import identity, mandates, orders
from market.audit import audit
from market.base import database
from market.base.clock import ManualClock, seconds_of
from market.base.settings import Settings
from market.base.sql import Sql
from market.base.store import Store
from market.base.work import UnitOfWork
from market.mandates.tables import mandates as mandate_rows
from market.orders.rows import locked
from market.orders.tables import orders as order_rows
from market.protocol.commitments import Limits, MandateClaims
from market.protocol.wire import OrderView
from tests.crash.power import forgetful_disk
from tests.factories import Party, Town, build_town, enter
from tests.workers import LIMIT_SECONDS, two_workers

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRICE = 400_000
TRIES = 20
_ORDER_IDS = Sql(select(order_rows.c.id))


# Skip the sync


async def lost_at_a_power_cut(settings: Settings, folder: Path) -> int:
    """Place orders; cut the power when the last is acknowledged; count those that are gone."""
    with forgetful_disk() as disk:
        store = Store.open(settings)
        town = await build_town(store)
        told = {(await town.place()).id for _ in range(5)}
        left = disk.after_a_power_cut(folder)
        store.close()
    shutil.copy(settings.home / "market.key", left)
    store = Store.open(settings.with_(home=left))
    there = {row.id for row in store.read_now(lambda snapshot: snapshot.all(_ORDER_IDS))}
    findings = store.read_now(audit)
    store.close()
    assert findings == [], "what is left must be whole, be it little"
    return len(told - there)


async def test_nothing_acknowledged_is_lost_at_a_power_cut(
    sqlite_settings: Settings, tmp_path: Path
):
    assert await lost_at_a_power_cut(sqlite_settings, tmp_path / "after") == 0


async def test_a_store_that_skips_the_sync_is_caught(
    sqlite_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    connect = database._connect

    def connect_carelessly(uri: str, **more: Any) -> Any:
        return _Careless(connect(uri, **more))

    monkeypatch.setattr(database, "_connect", connect_carelessly)

    assert await lost_at_a_power_cut(sqlite_settings, tmp_path / "after") > 0


async def test_the_setting_that_may_lose_the_last_commits_does(
    sqlite_settings: Settings, tmp_path: Path
):
    settings = sqlite_settings.with_(synchronous="normal")

    assert await lost_at_a_power_cut(settings, tmp_path / "after") > 0


class _Careless:
    """A connection that does not let the store turn the sync on."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: str, *parameters: Any) -> Any:
        if statement.startswith("PRAGMA synchronous"):
            statement = "PRAGMA synchronous = OFF"
        return self._connection.execute(statement, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


# No unique jti


async def times_accepted(stores: tuple[Store, ...]) -> int:
    """Redeem one assertion 50 times at once; return how often that was accepted."""
    buyer = await enter(stores[0], "thrifty", "buyer")
    until = stores[0].clock.now() + timedelta(seconds=60)
    attempts = [
        stores[number % len(stores)].write(
            identity.redeem_assertion, agent_id=buyer.id, jti="once", expires_at=until
        )
        for number in range(50)
    ]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, identity.InvalidClient)]
    accepted = [outcome for outcome in outcomes if outcome == "buyer"]
    assert len(refused) + len(accepted) == 50
    return len(accepted)


async def test_one_assertion_is_accepted_once(store: Store):
    """I11: the race of fifty."""
    assert await times_accepted((store,)) == 1


async def test_one_assertion_is_accepted_once_by_two_workers(postgres_settings: Settings):
    """I11: the race of fifty, over two workers."""
    with two_workers(postgres_settings) as workers:
        assert await times_accepted(workers) == 1


async def test_a_market_without_a_unique_jti_is_caught(store: Store):
    if store.settings.dialect == "postgresql":
        without = ["ALTER TABLE used_tokens DROP CONSTRAINT pk_used_tokens"]
    else:
        without = [
            "ALTER TABLE used_tokens RENAME TO with_key",
            "CREATE TABLE used_tokens AS SELECT * FROM with_key",
        ]

    def plant(uow: UnitOfWork) -> None:
        for statement in without:
            uow.run(Sql(text(statement)))

    await store.write(plant)

    assert await times_accepted((store,)) > 1


# Read, then write, a budget


class ReadThenWrite:
    """``mandates.spend`` as a beginner would write it: look, decide, store the sum."""

    _READ = Sql(select(mandate_rows).where(mandate_rows.c.id == bindparam("of_id")))
    _WRITE = Sql(
        update(mandate_rows)
        .where(mandate_rows.c.id == bindparam("of_id"))
        .values(spent_minor=bindparam("spent"), orders=bindparam("number"))
    )

    def __init__(self, both_have_read: threading.Barrier) -> None:
        self._both_have_read = both_have_read
        self._left = both_have_read.parties

    def __call__(self, uow: UnitOfWork, *, mandate_id: str, amount_minor: int, **_: Any) -> None:
        row = uow.one(self._READ, of_id=mandate_id)
        if self._left:
            self._left -= 1
            self._both_have_read.wait(LIMIT_SECONDS)
        spent = row.spent_minor + amount_minor
        if spent > row.budget_minor:
            raise mandates.MandateExceeded("No.", limit="budget_minor", available_minor=0)
        uow.run(self._WRITE, of_id=mandate_id, spent=spent, number=row.orders + 1)


async def budgeted_town(store: Store) -> tuple[Town, Party]:
    """A buyer that buys for a principal, and that principal."""
    principal = await enter(store, "boss", "principal")
    return await build_town(store, principal=principal), principal


async def bought_on_a_budget_for_one(
    town: Town, principal: Party, workers: tuple[Store, Store], name: str
) -> int:
    """Buy twice at once, at two workers, on a budget for one purchase; count the purchases."""
    signed = principal.signs(
        MandateClaims,
        exp=seconds_of(town.store.clock.now()) + 86_400,
        jti=f"budget-{name}",
        buyer_id=town.buyer.id,
        currency="XTS",
        limits=Limits(budget_minor=PRICE),
    )
    given = await town.store.write(mandates.give, caller=principal.caller, signed=signed)
    quotes = [await town.quote() for _ in workers]
    outcomes = await asyncio.gather(
        *(
            town._replace(store=worker).place(quote, mandate_id=given.id)
            for worker, quote in zip(workers, quotes, strict=True)
        ),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, mandates.MandateExceeded)]
    bought = [outcome for outcome in outcomes if isinstance(outcome, OrderView)]
    assert len(refused) + len(bought) == 2, outcomes
    return len(bought)


async def test_a_budget_for_one_buys_one(postgres_settings: Settings):
    """M14: two workers, one budget."""
    with two_workers(postgres_settings) as workers:
        town, principal = await budgeted_town(workers[0])
        assert await bought_on_a_budget_for_one(town, principal, workers, "one") == 1
        assert await workers[0].scan(audit) == []


async def test_a_budget_that_is_read_and_then_written_is_caught(
    postgres_settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    with two_workers(postgres_settings) as workers:
        town, principal = await budgeted_town(workers[0])
        bought = number = 0
        while bought < 2 and number < TRIES:
            number += 1
            monkeypatch.setattr(mandates, "spend", ReadThenWrite(threading.Barrier(2)))
            bought = await bought_on_a_budget_for_one(town, principal, workers, str(number))
        findings = await workers[0].scan(audit)

    assert bought == 2, "the race was never lost"
    assert {finding.rule for finding in findings} == {"mandates"}


# A sweeper without guard


async def swept_twice(store: Store, clock: ManualClock) -> list[str]:
    """Let two sweepers act on one overdue order; return what the audit finds."""
    town = await build_town(store)
    order = await town.place()
    clock.advance(timedelta(hours=1))
    found = await asyncio.gather(store.scan(orders.due), store.scan(orders.due))
    assert found == [[order.id], [order.id]]
    for [order_id] in found:
        await store.write(orders.expire, order_id=order_id)
    return [finding.rule for finding in await store.scan(audit)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


async def test_two_sweepers_end_an_order_once(store: Store, clock: ManualClock):
    """M15: the second finds nothing to do."""
    assert await swept_twice(store, clock) == []


async def test_a_sweeper_that_acts_on_what_it_read_before_is_caught(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
):
    seen: dict[str, Any] = {}

    def without_guard(uow: UnitOfWork, *, order_id: str) -> Any:
        return seen.setdefault(order_id, locked(uow, order_id=order_id))

    monkeypatch.setattr(import_module("market.orders.due"), "locked", without_guard)

    assert {"orders", "movements"} & set(await swept_twice(store, clock))
