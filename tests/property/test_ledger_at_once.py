"""Moves of money that happen at once: what was accepted adds up, and nothing else moved.

The order in which a crowd acts is anybody's; what each accepted act does to the balances is not. So
the model takes the answers, adds up what they say, and must find the ledger there.
"""

import asyncio
import itertools
from collections import Counter
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from market import ledger
from market.base.errors import MarketError
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import Snapshot
from market.ledger import Transaction
from tests.conftest import TEMPLATE
from tests.property.fresh import Fresh, fresh_databases, fresh_files
from tests.workers import in_one_batch

AGENTS: Final = ("a" * 43, "b" * 43, "c" * 43)
AMOUNTS: Final = st.integers(1, 60)


class Deal(NamedTuple):
    """An order's accounts: who pays, who is paid."""

    id: str
    buyer: str
    seller: str
    escrow: str


class Move(NamedTuple):
    """One act, and what it does to whom if it is accepted."""

    verb: Any
    members: dict[str, Any]
    effect: dict[str, int]


ACTS: Final = st.one_of(
    st.tuples(st.just("mint"), st.sampled_from(AGENTS), AMOUNTS, st.just(0)),
    st.tuples(st.just("hold"), st.integers(0, 3), AMOUNTS, st.just(0)),
    st.tuples(st.just("capture"), st.integers(0, 3), AMOUNTS, st.integers(0, 5_000)),
    st.tuples(st.just("void"), st.integers(0, 3), AMOUNTS, st.just(0)),
    st.tuples(st.just("refund"), st.integers(0, 3), AMOUNTS, st.just(0)),
    st.tuples(st.just("fold"), st.just(0), st.just(0), st.just(0)),
)


class Books(RuleBasedStateMachine):
    """Three agents and four orders between them, on one store or over two workers."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        settings = settings.with_(synchronous="normal", log_level="error")
        self.workers = [Store.open(settings) for _ in range(2 if settings.store else 1)]
        self.model: Counter[str] = Counter()
        self.keys = itertools.count()
        self.deals: list[Deal] = []

    def teardown(self) -> None:
        for worker in self.workers:
            worker.close()

    @initialize()
    def open_accounts(self) -> None:
        store = self.workers[0]
        self.wallets = {
            agent: store.write_now(ledger.open_wallet, agent_id=agent, currency="XTS")
            for agent in AGENTS
        }
        for number in range(4):
            order_id = f"ord_{number:026d}"
            escrow = store.write_now(ledger.open_escrow, order_id=order_id, currency="XTS")
            buyer, seller = AGENTS[number % 3], AGENTS[(number + 1) % 3]
            self.deals.append(Deal(order_id, buyer, seller, escrow))
        self.at_once([self.mint(agent, 100) for agent in AGENTS])

    @rule(acts=st.lists(ACTS, min_size=2, max_size=8))
    def a_crowd_acts(self, acts: list[tuple[str, Any, int, int]]) -> None:
        moves = []
        for name, whose, amount_minor, basis_points in acts:
            if name == "mint":
                moves.append(self.mint(whose, amount_minor))
            elif name == "fold":
                moves.append(Move(ledger.fold_house, {}, {}))
            else:
                moves.append(self.move(name, self.deals[whose], amount_minor, basis_points))
        self.at_once(moves)

    @rule(which=st.integers(0, 3), amount_minor=AMOUNTS, times=st.integers(2, 6))
    def one_act_is_sent_again_and_again(self, which: int, amount_minor: int, times: int) -> None:
        """V5: it moves money once, however often, at whichever worker."""
        self.at_once([self.move("hold", self.deals[which], amount_minor, 0)] * times)

    @invariant()
    def what_was_accepted_adds_up(self) -> None:
        for worker in self.workers:
            assert worker.read_now(self.balances) == {
                name: self.model[name] for name in (*AGENTS, "held", "fees")
            }

    @invariant()
    def every_law_holds(self) -> None:
        """V1 to V4, V11 to V13."""
        assert self.workers[0].read_now(ledger.check) == []

    def balances(self, snapshot: Snapshot) -> dict[str, int]:
        there = {agent: ledger.wallet(snapshot, agent_id=agent).balances[0] for agent in AGENTS}
        return {
            **{agent: view.available_minor for agent, view in there.items()},
            "held": sum(view.held_minor for view in there.values()),
            "fees": ledger.house_balance(snapshot, kind="fees", currency="XTS"),
        }

    def mint(self, agent: str, amount_minor: int) -> Move:
        members = {
            "agent_id": agent,
            "amount_minor": amount_minor,
            "currency": "XTS",
            "idempotency_key": str(next(self.keys)),
        }
        return Move(ledger.mint, members, {agent: amount_minor})

    def move(self, name: str, deal: Deal, amount_minor: int, basis_points: int) -> Move:
        buyer, seller = self.wallets[deal.buyer], self.wallets[deal.seller]
        of_deal: dict[str, Any] = {"order_id": deal.id}
        if name == "capture":
            fee_minor = amount_minor * basis_points // 10_000
            of_deal |= {"escrow_id": deal.escrow, "seller_wallet_id": seller}
            of_deal |= {"captured_minor": amount_minor, "fee_minor": fee_minor}
            net = {deal.seller: amount_minor - fee_minor, "fees": fee_minor, "held": -amount_minor}
            return Move(ledger.capture, of_deal, net)
        of_deal |= {"wallet_id": buyer, "amount_minor": amount_minor}
        if name == "refund":
            of_deal["seller_wallet_id"] = seller
            moved = {deal.buyer: amount_minor, deal.seller: -amount_minor}
            return Move(ledger.refund, of_deal, moved)
        of_deal["escrow_id"] = deal.escrow
        if name == "hold":
            return Move(ledger.hold, of_deal, {deal.buyer: -amount_minor, "held": amount_minor})
        return Move(ledger.void, of_deal, {deal.buyer: amount_minor, "held": -amount_minor})

    def at_once(self, moves: list[Move]) -> None:
        """Do them all at once, and add up what was accepted and had not been done before."""
        for move, outcome in zip(moves, asyncio.run(self.together(moves)), strict=True):
            if isinstance(outcome, MarketError):
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            if isinstance(outcome, Transaction) and not outcome.repeated:
                self.model.update(move.effect)

    async def together(self, moves: list[Move]) -> list[Any]:
        [first, *others] = self.workers
        if not others:
            units = [first.write(move.verb, **move.members) for move in moves]
            return await asyncio.gather(*await in_one_batch(first, units), return_exceptions=True)
        spread = zip(moves, itertools.cycle(self.workers))
        units = [worker.write(move.verb, **move.members) for move, worker in spread]
        return await asyncio.gather(*units, return_exceptions=True)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_what_was_accepted_adds_up_whatever_happens_at_once(
    request: pytest.FixtureRequest, dialect: str
):
    """M1, M7, M8, M9, M11: over one writer, and over two workers."""
    if dialect == "sqlite":
        with fresh_files(request.getfixturevalue("migrated_file")) as fresh:
            run(fresh, examples=30, steps=15)
    else:
        with fresh_databases(request.getfixturevalue("postgres_server"), TEMPLATE) as fresh:
            run(fresh, examples=6, steps=10)


def run(fresh: Fresh, *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: Books(fresh()),
        settings=example_settings(max_examples=examples, stateful_step_count=steps, deadline=None),
    )
