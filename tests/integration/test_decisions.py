"""A human's signed word over an order that waits, and mandates that are revoked meanwhile."""

from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import pytest

from market import inbox, ledger, mandates, orders, sessions
from market.base.caller import BadCommitment
from market.base.clock import ManualClock, seconds_of
from market.base.errors import MarketError
from market.base.store import Store
from market.faces.http import acts
from market.protocol.canonical import digest
from market.protocol.commitments import DECISION, DecisionClaims, OrderClaims
from market.protocol.wire import ControlView, MandateView, OrderView
from tests.contract.conftest import START
from tests.factories import Party, Town, build_town, decision, enter, mandate

PRICE = 400_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


class Waiting(NamedTuple):
    """An order over the limit of its mandate."""

    town: Town
    principal: Party
    mandate: MandateView
    order: OrderView

    async def control(self, action: str, by: Party | None = None, **more: Any) -> ControlView:
        [view] = await self.town.control(
            self.order.session_id, action, by or self.principal, **more
        )
        return view

    async def approve(self, **changes: Any) -> ControlView:
        signed = decision(self.principal, self.order, **changes)
        return await self.control("approve", decision=signed, reason=changes.get("reason", ""))

    async def log(self, kind: str, session_id: str | None = None) -> list[dict[str, Any]]:
        events = await self.town.log_of(session_id or self.order.session_id, self.principal)
        return [event for event in events if event["kind"] == kind]

    async def state(self) -> str:
        return (await self.town.order(self.order)).state

    async def revoke(self, by: Party | None = None) -> MandateView:
        return await self.town.store.write(
            acts.revoke_mandate,
            caller=(by or self.principal).caller,
            mandate_id=self.mandate.id,
            reason="budget cut",
        )


@pytest.fixture
async def waiting(store: Store) -> Waiting:
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, principal=principal)
    given = await mandate(principal, town.buyer, approval_over_minor=100_000)
    return Waiting(town, principal, given, await town.place(mandate_id=given.id))


# Decisions


async def test_an_approval_keeps_what_the_human_signed(waiting: Waiting):
    answer = await waiting.approve(reason="within plan")

    [event] = await waiting.log("approval.granted")
    body = event["body"]
    claims = waiting.principal.key.public.read(
        body["decision"], typ=DECISION, claims=DecisionClaims
    )
    assert answer.answer == "accepted"
    assert (claims.order_id, claims.decision) == (waiting.order.id, "approve")
    assert (claims.amount_minor, claims.currency) == (PRICE, "XTS")
    assert (claims.reason, body["reason"]) == ("within plan", "within plan")
    assert body["digest"] == digest(msgspec.to_builtins(claims))


async def test_nobody_approves_without_a_signature(waiting: Waiting):
    """Z5: money over the limit is let go by a signature, not by a token."""
    with pytest.raises(orders.DecisionNeeded):
        await waiting.control("approve")

    assert await waiting.state() == "awaiting_approval"
    assert await waiting.log("control.requested") == []


async def test_a_denial_needs_no_signature_and_keeps_one(waiting: Waiting):
    signed = decision(waiting.principal, waiting.order, "deny")

    await waiting.control("deny", decision=signed)

    [event] = await waiting.log("approval.denied")
    assert event["body"]["decision"] == signed


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount_minor": PRICE - 1}, "amount_minor"),
        ({"currency": "USD"}, "currency"),
        ({"order_id": "ord_01h455vb4pex5vsknk084sn02q"}, "order_id"),
        ({"verdict": "deny"}, "decision"),
        ({"exp": seconds_of(START) + 3_601}, "exp"),
        ({"exp": seconds_of(START)}, "exp"),
    ],
)
async def test_a_decision_over_something_else_is_refused(
    waiting: Waiting, changes: dict[str, Any], field: str
):
    """M3."""
    with pytest.raises(orders.DecisionMismatch) as refusal:
        await waiting.approve(**changes)

    assert refusal.value.facts["field"] == field
    assert await waiting.state() == "awaiting_approval"


async def test_the_reason_that_is_logged_is_the_one_that_was_signed(waiting: Waiting):
    signed = decision(waiting.principal, waiting.order, reason="fine")

    with pytest.raises(orders.DecisionMismatch):
        await waiting.control("approve", decision=signed, reason="because I say so")


async def test_a_decision_that_another_signed_is_refused(waiting: Waiting):
    """I4, I10."""
    order = waiting.order
    others = [
        decision(waiting.town.buyer, order),
        waiting.town.buyer.key.sign({"order_id": order.id}, typ=DECISION),
        waiting.principal.signs(
            OrderClaims,
            quote_id="qte_01h455vb4pex5vsknk084sn02q",
            quote_digest="d" * 43,
            seller_id=order.seller_id,
            amount_minor=PRICE,
            currency="XTS",
        ).token,
    ]

    for signed in others:
        with pytest.raises(BadCommitment):
            await waiting.control("approve", decision=signed)


async def test_a_decision_that_has_expired_is_refused(waiting: Waiting, clock: ManualClock):
    """I7."""
    signed = decision(waiting.principal, waiting.order)
    clock.advance(timedelta(seconds=91))

    with pytest.raises(BadCommitment):
        await waiting.control("approve", decision=signed)


async def test_a_decision_is_good_for_one_use(waiting: Waiting):
    """I11."""
    second = await waiting.town.place(mandate_id=waiting.mandate.id)
    await waiting.approve(jti="the-same-jti")

    with pytest.raises(orders.DecisionUsed):
        await waiting._replace(order=second).approve(jti="the-same-jti")


async def test_many_orders_are_not_approved_by_one_decision(waiting: Waiting):
    signed = decision(waiting.principal, waiting.order)

    for sent in ({"decision": signed}, {}):
        with pytest.raises((orders.DecisionMismatch, orders.DecisionNeeded)):
            await waiting.control("approve", scope="all", **sent)


async def test_an_approval_that_is_too_late_says_so_and_needs_nothing(
    waiting: Waiting, clock: ManualClock
):
    clock.advance(timedelta(seconds=600))

    answer = await waiting.control("approve")

    assert (answer.answer, answer.detail) == ("too_late", "The time to approve is over.")


# Revocation


async def test_a_revoked_mandate_is_an_event_in_the_journeys_that_spent_under_it(
    waiting: Waiting,
):
    store = waiting.town.store
    other = await waiting.town.place(mandate_id=waiting.mandate.id)
    quiet = await mandate(waiting.principal, waiting.town.buyer, max_orders=5, budget_minor=PRICE)
    elsewhere = await waiting.town.place(mandate_id=quiet.id)
    await waiting.control("deny")
    await store.write(
        orders.close_session,
        caller=waiting.town.buyer.caller,
        session_id=waiting.order.session_id,
        reason="done",
    )

    await waiting.revoke()

    assert await waiting.log("mandate.revoked") == []
    assert await waiting.log("mandate.revoked", elsewhere.session_id) == []
    [event] = await waiting.log("mandate.revoked", other.session_id)
    assert (event["actor_id"], event["audience"]) == (waiting.principal.id, "owner")
    assert event["body"] == {
        "mandate_id": waiting.mandate.id,
        "reason": "budget cut",
        "currency": "XTS",
        "spent_minor": PRICE,
        "orders": 2,
    }


async def test_what_waits_under_a_revoked_mandate_is_denied_by_the_market(waiting: Waiting):
    await waiting.revoke()

    [denied] = await waiting.log("approval.denied")
    assert (denied["actor_id"], denied["body"]) == (
        "market",
        {"reason": "the mandate was revoked"},
    )
    assert await waiting.state() == "cancelled"
    assert await waiting.town.available(waiting.town.buyer) == 10_000_000
    late = await waiting.control("approve", decision=decision(waiting.principal, waiting.order))
    assert late.answer == "too_late"
    assert await waiting.town.store.scan(orders.check) == []
    assert await waiting.town.store.scan(ledger.check) == []


async def test_what_is_held_under_a_revoked_mandate_stays_held(waiting: Waiting):
    await waiting.approve()

    await waiting.revoke()

    assert await waiting.state() == "placed"
    assert await waiting.town.available(waiting.town.buyer) == 10_000_000 - PRICE
    with pytest.raises(mandates.MandateEnded):
        await waiting.town.place(mandate_id=waiting.mandate.id)
    await waiting.town.deliver(waiting.order, units=4)
    await waiting.town.complete(waiting.order)
    assert (await waiting.town.accept(waiting.order)).state == "settled"


async def test_the_buyer_hears_of_a_revocation_once(waiting: Waiting):
    await waiting.revoke()
    await waiting.revoke()

    box = await waiting.town.store.read(
        inbox.read, caller=waiting.town.buyer.caller, after=-1, limit=99
    )
    told = [message.body for message in box.items if message.kind == "mandate.revoked"]
    assert told == [{"mandate_id": waiting.mandate.id, "reason": "budget cut"}]
    assert len(await waiting.log("mandate.revoked")) == 1


async def test_a_stranger_revokes_nothing_and_tells_nobody(waiting: Waiting):
    """Z2."""
    stranger = await enter(waiting.town.store, "rival", "principal")

    for by, kind in (
        (stranger, MarketError),
        (waiting.town.buyer, mandates.PrincipalsOnly),
    ):
        with pytest.raises(kind):
            await waiting.revoke(by)

    assert await waiting.log("mandate.revoked") == []
    assert await waiting.state() == "awaiting_approval"


async def test_a_seller_reads_nothing_of_decisions_and_revocations(waiting: Waiting):
    await waiting.approve(reason="secret plan")
    await waiting.revoke()

    reading = await waiting.town.store.read(
        sessions.events,
        caller=waiting.town.seller.caller,
        session_id=waiting.order.session_id,
        after=-1,
        limit=500,
    )
    text = "".join(event.json.decode() if isinstance(event.json, bytes) else event.json
                   for event in reading.events)  # fmt: skip
    assert "secret plan" not in text
    assert "budget cut" not in text
