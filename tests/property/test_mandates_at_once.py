"""Spenders of one mandate at once: its counters are what was accepted, and no limit is passed."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from market import mandates
from market.base.clock import ManualClock
from market.base.errors import MarketError
from market.base.settings import Settings
from market.base.store import Store
from tests.conftest import TEMPLATE
from tests.factories import enter, mandate
from tests.property.fresh import Fresh, fresh_databases, fresh_files
from tests.workers import in_one_batch

START: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
BUDGET: Final = 200
PERIOD_BUDGET: Final = 60
PERIOD: Final = 60
MAX_ORDERS: Final = 25
MAX_PRICE: Final = 30


class Spent(NamedTuple):
    """What an order took out, and when."""

    amount_minor: int
    at: datetime

    @property
    def window(self) -> int:
        return (self.at - START) // timedelta(seconds=PERIOD)


class Spenders(RuleBasedStateMachine):
    """One principal, one buyer, one mandate, and all that may be asked of it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        settings = settings.with_(synchronous="normal", log_level="error")
        self.clock = ManualClock(START)
        count = 2 if settings.store else 1
        self.workers = [Store.open(settings, clock=self.clock) for _ in range(count)]
        self.open_orders: list[Spent] = []
        self.kept_minor = 0
        self.orders = 0
        self.in_window: dict[int, int] = {}
        self.is_revoked = False

    def teardown(self) -> None:
        for worker in self.workers:
            worker.close()

    @initialize()
    def give(self) -> None:
        asyncio.run(self.enter())

    async def enter(self) -> None:
        self.principal = await enter(self.workers[0], "boss", "principal")
        self.buyer = await enter(self.workers[0], "clerk", "buyer", self.principal.id)
        self.given = await mandate(
            self.principal,
            self.buyer,
            budget_minor=BUDGET,
            period_budget_minor=PERIOD_BUDGET,
            period_seconds=PERIOD,
            max_orders=MAX_ORDERS,
            max_price_minor=MAX_PRICE,
        )

    @rule(amounts=st.lists(st.integers(1, MAX_PRICE + 2), min_size=2, max_size=10))
    def spend_at_once(self, amounts: list[int]) -> None:
        members = {
            "mandate_id": self.given.id,
            "buyer_id": self.buyer.id,
            "seller_id": "s" * 43,
            "tags": [],
            "currency": "XTS",
        }
        acts = [(mandates.spend, members | {"amount_minor": amount}) for amount in amounts]
        now = self.clock.now()
        for amount, outcome in zip(amounts, self.at_once(acts), strict=True):
            if isinstance(outcome, MarketError):
                continue
            assert not self.is_revoked
            assert amount <= MAX_PRICE
            spent = Spent(amount, now)
            self.open_orders.append(spent)
            self.orders += 1
            self.in_window[spent.window] = self.in_window.get(spent.window, 0) + amount

    @precondition(lambda self: self.open_orders)
    @rule(shares=st.lists(st.integers(0, 4), min_size=1, max_size=6))
    def orders_end_at_once(self, shares: list[int]) -> None:
        """A quarter, or more, of each order's price comes back, whenever that is."""
        ended = [self.open_orders.pop() for _ in shares[: len(self.open_orders)]]
        back = [
            spent.amount_minor * share // 4 for spent, share in zip(ended, shares, strict=False)
        ]
        acts = [
            (
                mandates.give_back,
                {"mandate_id": self.given.id, "amount_minor": amount, "spent_at": spent.at},
            )
            for spent, amount in zip(ended, back, strict=True)
        ]
        assert not [outcome for outcome in self.at_once(acts) if outcome is not None]
        for spent, amount in zip(ended, back, strict=True):
            self.kept_minor += spent.amount_minor - amount
            if spent.window == self.latest_window:
                self.in_window[spent.window] -= amount

    @rule(seconds=st.sampled_from([1, 59, 60, 61, 200]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    @precondition(lambda self: self.orders > 6)
    @rule()
    def it_is_revoked(self) -> None:
        self.at_once(
            [
                (
                    mandates.revoke,
                    {
                        "caller": self.principal.caller,
                        "mandate_id": self.given.id,
                        "reason": "enough",
                    },
                )
            ]
            * 2
        )
        self.is_revoked = True

    @property
    def latest_window(self) -> int:
        """The window that the counter belongs to: the last in which something was spent."""
        return max(self.in_window, default=0)

    @invariant()
    def it_counts_what_was_accepted(self) -> None:
        """V8, M13, M14: on every worker."""
        spent = self.kept_minor + sum(one.amount_minor for one in self.open_orders)
        window = (self.clock.now() - START) // timedelta(seconds=PERIOD)
        for worker in self.workers:
            view = worker.read_now(
                mandates.mandate, caller=self.principal.caller, mandate_id=self.given.id
            )
            assert (view.spent_minor, view.orders) == (spent, self.orders)
            assert view.period_spent_minor == self.in_window.get(window, 0)

    @invariant()
    def no_limit_is_passed(self) -> None:
        assert self.kept_minor + sum(one.amount_minor for one in self.open_orders) <= BUDGET
        assert all(0 <= minor <= PERIOD_BUDGET for minor in self.in_window.values())
        assert self.orders <= MAX_ORDERS

    def at_once(self, acts: list[tuple[Any, dict[str, Any]]]) -> list[Any]:
        outcomes = asyncio.run(self.together(acts))
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, MarketError):
                raise outcome
        return outcomes

    async def together(self, acts: list[tuple[Any, dict[str, Any]]]) -> list[Any]:
        [first, *others] = self.workers
        spread = zip(acts, itertools.cycle(self.workers))
        units = [worker.write(verb, **members) for (verb, members), worker in spread]
        waiting = units if others else await in_one_batch(first, units)
        return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_mandate_counts_what_was_accepted_whoever_spends_at_once(
    request: pytest.FixtureRequest, dialect: str
):
    """M13, M14: over one writer, and over two workers."""
    if dialect == "sqlite":
        with fresh_files(request.getfixturevalue("migrated_file")) as fresh:
            run(fresh, examples=20, steps=15)
    else:
        with fresh_databases(request.getfixturevalue("postgres_server"), TEMPLATE) as fresh:
            run(fresh, examples=5, steps=10)


def run(fresh: Fresh, *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: Spenders(fresh()),
        settings=example_settings(max_examples=examples, stateful_step_count=steps, deadline=None),
    )
