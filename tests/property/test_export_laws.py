"""However a store has grown, and however often it was exported: the files are those of one export.

Parts are a few rows long here, so that every example has many, keeps some and cuts the last.
"""

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam

from market import analytics, chores, sessions
from market.analytics import FRAMES, growing
from market.analytics.parts import Part
from market.base.errors import MarketError, NotFound
from market.base.settings import Settings
from market.base.sql import Sql
from market.base.store import Store
from market.base.work import UnitOfWork
from market.catalog.tables import services
from market.protocol.ids import Ids
from market.protocol.wire import ForkSession, OpenSession, OrderView, WriteEvent, WriteEvents
from tests.factories import Town, build_town, post_review
from tests.property.fresh import Fresh, fresh_databases, fresh_files

TEMPLATE = "market_template"
WHICH = st.integers(0, 30)
ACTS = st.one_of(
    st.tuples(st.just("open"), WHICH),
    st.tuples(st.just("note"), WHICH),
    st.tuples(st.just("decide"), WHICH),
    st.tuples(st.just("fork"), WHICH),
    st.tuples(st.just("place"), WHICH),
    st.tuples(st.just("deliver"), WHICH),
    st.tuples(st.just("settle"), WHICH),
    st.tuples(st.just("review"), WHICH),
    st.tuples(st.just("close"), WHICH),
    st.tuples(st.just("weigh"), WHICH),
    st.tuples(st.just("rename"), WHICH),
)
PERIODS = st.lists(st.lists(ACTS, max_size=12), min_size=2, max_size=4)
MANY = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FEW = settings(MANY, max_examples=4)


class Market:
    """A town in which anything may be asked for, of whatever session or order there is."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.store = town.store
        self.sessions: list[str] = []
        self.orders: list[OrderView] = []

    async def act(self, what: str, which: int) -> None:
        """Do it; what the market refuses changes nothing."""
        try:
            await getattr(self, what)(which)
        except MarketError:
            return

    async def open(self, which: int) -> None:
        request = OpenSession(need=f"need {which}", labels={"which": str(which)})
        opened = await self.store.write(
            sessions.open_session, buyer_id=self.town.buyer.id, principal_id=None, request=request
        )
        self.sessions.append(opened.id)

    async def note(self, which: int) -> None:
        # One with what looks like the members that stand behind a body, and one with much text.
        fake = {"hash": "x", "id": "ses:1", "kind": "order.settled", "offset": 1, "é": '","id":"'}
        body = fake if which % 2 else {"text": 'note \\ " é ' * which}
        await self._write(which, "note.written", body)

    async def decide(self, which: int) -> None:
        weighed = {
            "slug": "acme-pdf", "amount_minor": which, "score": which / 7,
            "parts": {"price": 1e-7 * which, "trust": -0.5} if which % 3 else {},
        }  # fmt: skip
        other = f"svc_{which:026d}"
        choices = [{"service_id": one, **weighed} for one in (other, self.town.service.id)]
        end = {"reason": "price", "outcome": "leave"} if which % 5 == 0 else {"outcome": "advance"}
        stages = ("finding", "evaluating", "trust_checking")
        body = {
            "stage": stages[which % 3], "detail": '"parts":{"a":1}',
            "alternatives": choices[: which % 4], **end,
        }  # fmt: skip
        if which % 4 > 1 and which % 2:
            body["service_id"] = self.town.service.id
        await self._write(which, "decision.made", body)

    async def fork(self, which: int) -> None:
        made = await self.store.write(
            sessions.fork,
            caller=self.town.buyer.caller,
            session_id=self._session(which),
            request=ForkSession(after=which % 3),
        )
        self.sessions.append(made.id)

    async def place(self, which: int) -> None:
        session_id = self._session(which) if which % 2 else None
        self.orders.append(await self.town.place(session_id=session_id))

    async def deliver(self, which: int) -> None:
        order = await self.town.order(self._order(which))
        await self.town.deliver(order, order.chunks_delivered, units=2)

    async def settle(self, which: int) -> None:
        await self.town.complete(self._order(which))
        await self.town.accept(self._order(which))

    async def review(self, which: int) -> None:
        verdict = "good" if which % 2 else "bad"
        await post_review(self.town.buyer, self._order(which), verdict=verdict)

    async def close(self, which: int) -> None:
        await self.store.write(
            sessions.close,
            caller=self.town.buyer.caller,
            session_id=self._session(which),
            reason="done",
        )

    async def weigh(self, _: int) -> None:
        await chores.weigh_trust(self.store)

    async def rename(self, which: int) -> None:
        """Let the service ask for another currency, as a later version of it might."""
        await self.store.write(_in_currency, currency=("XTS", "XXX")[which % 2])

    async def _write(self, which: int, kind: str, body: dict[str, Any]) -> None:
        await self.store.write(
            sessions.write,
            caller=self.town.buyer.caller,
            session_id=self._session(which),
            events=WriteEvents(events=[WriteEvent(kind=kind, body=body)] * (1 + which % 3)),
        )

    def _session(self, which: int) -> str:
        known = [*self.sessions, *[order.session_id for order in self.orders]] or ["none"]
        return known[which % len(known)]

    def _order(self, which: int) -> OrderView:
        if not self.orders:
            raise NotFound("There is no order yet.")
        return self.orders[which % len(self.orders)]


_SET: Final = Sql(services.update().values(currency=bindparam("currency")))


def _in_currency(uow: UnitOfWork, *, currency: str) -> None:
    uow.run(_SET, currency=currency)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "PART_ROWS", 40)
    monkeypatch.setattr(growing, "REREAD", 3)


@pytest.fixture
def files(migrated_file: Path) -> Iterator[Fresh]:
    with fresh_files(migrated_file) as fresh:
        yield fresh


@pytest.fixture
def databases(postgres_server: str) -> Iterator[Fresh]:
    with fresh_databases(postgres_server, TEMPLATE) as fresh:
        yield fresh


@MANY
@given(periods=PERIODS)
def test_on_sqlite_what_is_exported_bit_by_bit_is_what_is_exported_at_once(
    files: Fresh, periods: list[list[tuple[str, int]]]
):
    asyncio.run(hold(files(), periods))


@FEW
@given(periods=PERIODS)
def test_on_postgresql_what_is_exported_bit_by_bit_is_what_is_exported_at_once(
    databases: Fresh, periods: list[list[tuple[str, int]]]
):
    asyncio.run(hold(databases(), periods))


class Skewed(Ids):
    """The ids of three workers that write by turns: one's clock is an hour late, one's early."""

    def __init__(self) -> None:
        self._workers = itertools.cycle([worker(hours) for hours in (0, 1, -1)])

    def new(self, prefix: str) -> str:
        return next(self._workers).new(prefix)


def worker(hours: int) -> Ids:
    return Ids(lambda: int(time.time() + hours * 3_600) * 1_000, random.Random(hours))


async def hold(of_market: Settings, periods: list[list[tuple[str, int]]]) -> None:
    store = Store.open(of_market, ids=Skewed())
    try:
        market = Market(await build_town(store))
        with tempfile.TemporaryDirectory() as folder:
            for period in periods:
                for what, which in period:
                    await market.act(what, which)
                compare(store, Path(folder))
    finally:
        store.close()


def compare(store: Store, folder: Path) -> None:
    """Export behind what was exported before, and anew; each frame must be the same."""
    grown = analytics.export(store, folder / "grown")
    with tempfile.TemporaryDirectory(dir=folder) as other:
        whole = analytics.export(store, Path(other))
        facts, same = analytics.open(folder / "grown"), analytics.open(Path(other))
        for name, frame in FRAMES.items():
            found = facts[name].collect()
            assert found.equals(same[name].collect()), name
            assert found.equals(found.sort(frame.key)), name
    assert grown.rows == whole.rows
    assert all_follow(grown.parts["events"])


def all_follow(parts: list[Part]) -> bool:
    return all(one.last < two.first <= two.last for one, two in itertools.pairwise(parts))
