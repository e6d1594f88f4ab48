"""The same lives, in which acts wait until a whole crowd of them happens at once.

On SQLite a crowd shares one commit of the writer; on PostgreSQL it is spread over two workers.
"""

import asyncio
import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from market import catalog, orders
from market.base import streams
from market.base.errors import MarketError
from market.base.once import Once
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import Snapshot
from market.protocol.commitments import OrderClaims
from market.protocol.wire import AskQuote, OrderView, PlaceOrder
from tests.factories import PAGES
from tests.property.lives import Lives, Placed
from tests.rows import every_row
from tests.workers import in_one_batch

CROWD: Final = 5
RANKS: Final = {"awaiting_approval": 0, "placed": 1, "started": 2, "delivered": 3}


class Act(NamedTuple):
    """Something that somebody is about to do, and what to remember of its answer."""

    verb: Callable[..., Any]
    arguments: dict[str, Any]
    once: Once | None = None
    then: Callable[[Any], None] = lambda answer: None


def log_of(snapshot: Snapshot, *, session_id: str) -> list[bytes]:
    """Every entry of a session's log, as it is kept."""
    log: list[bytes] = []
    while page := streams.read(snapshot, stream_id=session_id, after=len(log) - 1).entries:
        log += [entry.data for entry in page]
    return log


class Crowd(Lives):
    """Whatever happens at once, every law holds after it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.workers = [self.store]
        if settings.store:
            self.workers.append(self.open_store(1))
        self.waiting: list[Act] = []
        self.keys = itertools.count()
        self.is_crowded = False
        self.logs: dict[str, list[bytes]] = {}
        self.views: dict[str, OrderView] = {}

    def teardown(self) -> None:
        for worker in self.workers:
            worker.close()

    @initialize()
    def everybody_enters_and_some_order(self) -> None:
        super().everybody_enters_and_some_order()
        self.is_crowded = True

    @rule(is_under_mandate=st.booleans(), is_per_unit=st.booleans(), times=st.integers(1, 3))
    def place_under_one_key(self, is_under_mandate: bool, is_per_unit: bool, times: int) -> None:
        """The same request, as often as an impatient client sends it: one order, one answer."""
        buyer = self.bound if is_under_mandate else self.free
        ask = AskQuote(service_id=self.service_ids[is_per_unit], input=PAGES)
        quote = self.store.write_now(catalog.quote, caller=buyer.caller, ask=ask)
        signed = buyer.signs(
            OrderClaims,
            quote_id=quote.id,
            quote_digest=quote.digest,
            seller_id=quote.seller_id,
            amount_minor=quote.amount_minor,
            currency=quote.currency,
            mandate_id=self.mandate_ids.get(buyer.id),
        )
        answers: list[OrderView] = []

        def remember(order: OrderView) -> None:
            if not answers:
                self.placed.append(Placed(buyer, quote, order))
            answers.append(order)
            assert answers == [order] * len(answers)

        request = PlaceOrder(quote_id=quote.id, commitment=signed.token)
        members = {"caller": buyer.caller, "request": request, "signed": signed}
        once = Once(buyer.id, f"key-{next(self.keys)}", "fingerprint")
        for _ in range(times):
            self.wait(Act(orders.place, members, once, remember))

    @rule(seconds=st.sampled_from([1, 20, 60, 700, 4_000]))
    def time_passes(self, seconds: int) -> None:
        """Two sweepers see what is due, and act on it in the crowd."""
        self.clock.advance(timedelta(seconds=seconds))
        for _ in range(2):
            self.wait(Act(orders.follow_leases, {}))
            for order_id in self.store.read_now(orders.due):
                self.wait(Act(orders.expire, {"order_id": order_id}))
            self.wait(Act(orders.answer_unanswered, {}))

    @rule()
    def all_act_at_once(self) -> None:
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        before = every_row(self.settings)
        outcomes = asyncio.run(self.together(waiting))
        for act, outcome in zip(waiting, outcomes, strict=True):
            if not isinstance(outcome, BaseException):
                act.then(outcome)
            elif not isinstance(outcome, MarketError):
                raise outcome
        if all(isinstance(outcome, MarketError) for outcome in outcomes):
            is_kept = any(act.once for act in waiting)
            assert is_kept or every_row(self.settings) == before

    @invariant()
    def what_was_written_stands(self) -> None:
        """V10: logs only grow; V16: on every worker, at once."""
        for session_id in {at.order.session_id for at in self.placed}:
            known = self.logs.get(session_id, [])
            for worker in self.workers:
                log = worker.read_now(log_of, session_id=session_id)
                assert log[: len(known)] == known
                self.logs[session_id] = known = log

    @invariant()
    def orders_go_forward_alone(self) -> None:
        """V7: an ending is for ever."""
        for at in self.placed:
            now = self.now(at)
            was = self.views.get(now.id, now)
            assert RANKS.get(now.state, 4) >= RANKS.get(was.state, 4)
            if was.state in orders.ENDED:
                ends = ("state", "captured_minor", "fee_minor", "returned_minor", "ended_at")
                assert [getattr(now, name) for name in ends] == [
                    getattr(was, name) for name in ends
                ]
            self.views[now.id] = now

    def attempt(self, verb: Any, **arguments: Any) -> Any:
        """Do it with the crowd; before there is one, at once."""
        if not self.is_crowded:
            return super().attempt(verb, **arguments)
        self.wait(Act(verb, arguments))
        return None

    def wait(self, act: Act) -> None:
        """Let an act wait for others; a full crowd does not wait."""
        self.waiting.append(act)
        if len(self.waiting) >= CROWD:
            self.all_act_at_once()

    async def together(self, acts: list[Act]) -> list[Any]:
        """Do them at once; return what came of each."""
        if len(self.workers) == 1:
            tasks = await in_one_batch(self.store, [self.do(act, self.store) for act in acts])
        else:
            tasks = [
                asyncio.create_task(self.do(act, worker))
                for act, worker in zip(acts, itertools.cycle(self.workers))
            ]
        return await asyncio.gather(*tasks, return_exceptions=True)

    async def do(self, act: Act, worker: Store) -> Any:
        return await worker.write_once(act.once, act.verb, **act.arguments)
