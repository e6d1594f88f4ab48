"""Disputes, refunds and redos at random: the ledger's laws hold, and no unit goes back twice.

The lives of ``lives`` go on here with everything that may follow a delivery. After each step the
whole audit finds nothing, and of no order more went back, or is owed, than was captured.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings as example_settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from market import orders
from market.protocol.wire import (
    AnswerDispute,
    AskSupport,
    DisputeView,
    GiveRefund,
    OpenDispute,
    OrderView,
    ResolveDispute,
)
from tests.property.fresh import fresh_files
from tests.property.lives import ORDERS, Lives, Placed

AMOUNTS = st.sampled_from([None, 1, 7, 50_000, 133_333, 400_000])
REASONS = st.sampled_from(
    ["not_as_described", "schema", "digest", "late", "incomplete", "duplicate_charge", "other"]
)
POLICIES = {
    "refund": "within-window",
    "refund_window_seconds": 600,
    "redo": 2,
    "redo_window_seconds": 600,
}


class Aftermath(Lives):
    """Lives whose buyers, sellers and overseers go on behind a delivery."""

    async def publish(self, tree: dict[str, Any]) -> str:
        return await super().publish({**tree, "policies": POLICIES})

    @rule(which=ORDERS, amount_minor=AMOUNTS)
    def give_back(self, which: int, amount_minor: int | None) -> None:
        self.attempt(
            orders.refund,
            caller=self.seller.caller,
            order_id=self.at(which).order.id,
            request=GiveRefund(amount_minor=amount_minor, reason="sorry"),
        )

    @rule(which=ORDERS, action=st.sampled_from(["explain", "redo", "refund"]), minor=AMOUNTS)
    def ask_for_more(self, which: int, action: Any, minor: int | None) -> None:
        at = self.at(which)
        answered = self.attempt(
            orders.support,
            caller=at.buyer.caller,
            order_id=at.order.id,
            request=AskSupport(action=action, amount_minor=minor),
        )
        if answered is not None and answered.redo_order_id is not None:
            again = self.order_of(at, answered.redo_order_id)
            self.placed.append(at._replace(order=again))

    @rule(which=ORDERS, reason=REASONS, claim_minor=AMOUNTS, evidence=st.lists(st.integers(0, 9)))
    def dispute(
        self, which: int, reason: Any, claim_minor: int | None, evidence: list[int]
    ) -> None:
        at = self.at(which)
        self.attempt(
            orders.open_dispute,
            caller=at.buyer.caller,
            order_id=at.order.id,
            request=OpenDispute(reason=reason, claim_minor=claim_minor, evidence=evidence[:20]),
        )

    @rule(which=ORDERS, said=st.sampled_from(["concede", "contest"]), minor=AMOUNTS)
    def answer_a_dispute(self, which: int, said: Any, minor: int | None) -> None:
        for dispute in self.disputes(which):
            self.attempt(
                orders.answer_dispute,
                caller=self.seller.caller,
                dispute_id=dispute.id,
                request=AnswerDispute(answer=said, concede_minor=minor),
            )

    @rule(which=ORDERS, minor=AMOUNTS)
    def decide_a_dispute(self, which: int, minor: int | None) -> None:
        for dispute in self.disputes(which):
            self.attempt(
                orders.resolve_dispute,
                caller=self.overseer.caller,
                dispute_id=dispute.id,
                request=ResolveDispute(refund_minor=minor or 0, reason="seen it"),
            )

    @rule(which=ORDERS)
    def take_a_dispute_back(self, which: int) -> None:
        for dispute in self.disputes(which):
            caller = self.at(which).buyer.caller
            self.attempt(orders.withdraw_dispute, caller=caller, dispute_id=dispute.id)

    @rule(seconds=st.sampled_from([1, 3_700, 90_000]))
    def more_time_passes(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        for dispute_id in self.store.read_now(orders.due_disputes):
            self.store.write_now(orders.expire_dispute, dispute_id=dispute_id)
        self.time_passes(0)
        for order_id in self.store.read_now(orders.owed, after=""):
            self.store.write_now(orders.pay_owed, order_id=order_id)

    def what_went_back_was_paid(self, now: OrderView) -> None:
        assert now.refunded_minor >= 0
        assert now.owed_minor >= 0
        assert now.refunded_minor + now.owed_minor <= now.captured_minor

    @invariant()
    def an_open_dispute_is_the_orders_own(self) -> None:
        for which, at in enumerate(self.placed):
            found = [one.id for one in self.disputes(which) if one.state != "resolved"]
            assert found == [one for one in [self.now(at).dispute_id] if one is not None]

    @invariant()
    def what_disputes_leave_owed_their_order_owes(self) -> None:
        for which, at in enumerate(self.placed):
            by_disputes = sum(one.owed_minor for one in self.disputes(which))
            assert by_disputes <= self.now(at).owed_minor

    def disputes(self, which: int) -> list[DisputeView]:
        at = self.at(which)
        return self.store.read_now(
            orders.disputes_of,
            caller=at.buyer.caller,
            state="",
            order_id=at.order.id,
            cursor=None,
            limit=9,
        ).items

    def order_of(self, at: Placed, order_id: str) -> OrderView:
        return self.store.read_now(orders.order, caller=at.buyer.caller, order_id=order_id)


def test_no_unit_goes_back_twice_whatever_follows_a_delivery(migrated_file: Path):
    with fresh_files(migrated_file) as fresh:
        run_state_machine_as_test(
            lambda: Aftermath(fresh()),
            settings=example_settings(max_examples=25, stateful_step_count=30, deadline=None),
        )
