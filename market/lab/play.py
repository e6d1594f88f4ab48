"""One cell: a simulated market from its first day to its audit."""

import asyncio
import atexit
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from market import audit
from market.base.clock import ManualClock, to_micros
from market.base.database import sqlite_path
from market.base.errors import MarketError
from market.base.migration import migrate
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import UnitOfWork
from market.lab.attacks import ATTACKS
from market.lab.measures import Day, Diary, Rank
from market.lab.people import overseer_ids, wealth
from market.lab.plan import Plan
from market.lab.rankers import ALGORITHMS
from market.lab.town import Town
from market.lab.trading import Deal, Outcome, close_late, honest_deal, trade
from market.protocol.ids import Ids

BEGIN: Final = datetime(2030, 1, 1, 8, tzinfo=UTC)
EVENING: Final = timedelta(hours=12)
FEE_BASIS_POINTS: Final = 500

Tell = Callable[[int], None]
"""Told how many orders have been placed since it was last told. It may raise to end the play."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One simulated market: which attack, which algorithm, which seed, and how large."""

    attack: str
    algorithm: str
    seed: int
    plan: Plan


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a cell. ``refused``: orders that the market did not take, by the code.

    ``findings`` are the laws that the audit found broken; there must be none.
    """

    cell: Cell
    figures: dict[str, float | None]
    orders: int
    refused: dict[str, int]
    findings: list[str]
    days: list[Day]
    ranks: list[Rank]


def play(cell: Cell, tell: Tell = lambda orders: None) -> Played:
    """Play one market in a store of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="market-lab-") as name:
        settings = Settings(
            home=Path(name),
            synchronous="normal",
            fee_basis_points=FEE_BASIS_POINTS,
            queue_limit=1_000_000,
            overseer_ids=overseer_ids(cell.seed),
            log_level="error",
        )
        shutil.copy(_empty_store(), sqlite_path(settings))
        clock = ManualClock(BEGIN)
        chance = Random(f"{cell.seed}:ids")  # noqa: S311 - a simulation that must repeat
        ids = Ids(lambda: to_micros(clock.now()) // 1_000, chance)
        store = Store.open(settings, clock=clock, ids=ids)
        try:
            return asyncio.run(_Play(cell, store, clock, tell).run())
        finally:
            store.close()


class _Play:
    """The days of one market."""

    def __init__(self, cell: Cell, store: Store, clock: ManualClock, tell: Tell) -> None:
        self._cell = cell
        self._store = store
        self._clock = clock
        self._tell = tell
        self._town = Town(cell.plan, cell.seed)
        self._attack = ATTACKS[cell.attack](self._town)
        self._diary = Diary(self._town, self._attack)
        self._chance = self._town.chance_of("fates")
        self._orders = 0
        self._owned_minor = 0
        self._refused: Counter[str] = Counter()

    async def run(self) -> Played:
        store, town = self._store, self._town
        await store.write(town.settle)
        self._ranker = ALGORITHMS[self._cell.algorithm](store, town.anchors)
        for day in range(self._cell.plan.days):
            await self._day(day)
            self._clock.advance(timedelta(days=1) - EVENING)
        found = store.read_now(audit.audit)
        profit_minor = store.read_now(wealth, self._attack.party) - self._owned_minor
        return Played(
            cell=self._cell,
            figures=self._diary.figures(profit_minor=profit_minor),
            orders=self._orders,
            refused=dict(sorted(self._refused.items())),
            findings=[f"{one.rule}: {one.where}: {one.detail}" for one in found],
            days=self._diary.days,
            ranks=self._diary.ranks,
        )

    async def _day(self, day: int) -> None:
        town = self._town
        await self._store.write(self._dawn, day=day)
        scores = self._ranker.scores([seller.id for seller in town.sellers])
        town.rank(scores)
        deals = self._deals(day)
        outcomes = await self._trade(deals)
        self._clock.advance(EVENING)
        late = [each.order_id for each in outcomes if each.deal.fate == "late"]
        await asyncio.gather(
            *(self._store.write(close_late, order_id=order_id) for order_id in late)
        )
        for outcome in outcomes:
            self._ranker.note(outcome)
        self._attack.note(outcomes)
        self._diary.write(day, scores, outcomes, refused=len(deals) - len(outcomes))
        self._orders += len(outcomes)
        self._tell(len(deals))

    def _dawn(self, uow: UnitOfWork, *, day: int) -> None:
        """Let newcomers and attackers enter."""
        town, plan = self._town, self._cell.plan
        for number in range(plan.newcomers):
            if plan.joining_day(number) == day:
                quality = town.drawn_quality()
                town.add_seller(uow, f"newcomer-{number}", quality=quality, day=day)
        if day == self._attack.first_day:
            self._attack.begin(uow)
            self._owned_minor = wealth(uow, self._attack.party)
        elif day > self._attack.first_day:
            self._attack.dawn(uow, day)

    def _deals(self, day: int) -> list[Deal]:
        """Return all orders of a day, honest and not, in the order in which they are placed."""
        town = self._town
        deals = [
            honest_deal(town.next_buyer(), town.choose(), self._chance)
            for _ in range(self._cell.plan.orders_a_day)
        ]
        if day >= self._attack.first_day:
            deals += self._attack.deals()
            self._chance.shuffle(deals)
        return deals

    async def _trade(self, deals: Sequence[Deal]) -> list[Outcome]:
        """Place the orders; each is a unit of work, and many share a commit."""
        done = await asyncio.gather(
            *(self._store.write(trade, deal=deal) for deal in deals), return_exceptions=True
        )
        outcomes: list[Outcome] = []
        for each in done:
            if isinstance(each, Outcome):
                outcomes.append(each)
            elif isinstance(each, MarketError):
                self._refused[each.code] += 1
            else:
                raise each
        return outcomes


@cache
def _empty_store() -> Path:
    """Return a store with every table and no rows, made once in this process."""
    home = Path(tempfile.mkdtemp(prefix="market-lab-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    settings = Settings(home=home)
    migrate(settings)
    path = sqlite_path(settings)
    # One file without a log beside it can simply be copied.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path
