"""Trust: facts are counted once, and the kept standing is what the facts amount to."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market import trust
from market.base.store import Store
from market.base.work import UnitOfWork
from market.trust.scoring import COUNTER, MICRO, FactKind

RUNS = settings(max_examples=25, deadline=None)


async def record(store: Store, kind: FactKind, order: int, **changes: Any) -> bool:
    """Record a fact about the order of this number between one buyer and one seller."""
    fact = {
        "order_id": f"ord_{order}",
        "service_id": "svc_1",
        "seller_id": "seller",
        "buyer_id": "buyer",
        "amount_minor": 100,
    }
    return await store.write(trust.record, kind=kind, **fact | changes)


async def report(store: Store, seller_id: str = "seller") -> Any:
    return await store.read(
        trust.report,
        service_id="svc_1",
        slug="acme-pdf",
        seller_id=seller_id,
        registered_at="2026-11-22T12:00:00.000000Z",
    )


async def test_a_seller_without_facts_is_new_and_has_the_score_of_the_prior(store: Store):
    view = await report(store)

    assert (view.score, view.confidence, view.flags) == (0.2113, 0.0, ["new"])
    assert (view.good, view.bad, view.orders_settled, view.rule) == (0, 0, 0, "beta-1")


async def test_every_number_that_went_into_a_score_is_reported(store: Store):
    await record(store, "order.settled", 1, is_on_time=True)
    await record(store, "review.good", 1)
    await record(store, "order.settled", 2, buyer_id="other", is_on_time=False)
    await record(store, "order.refunded", 2, buyer_id="other")
    await record(store, "order.failed", 3)
    await record(store, "order.cancelled", 4)

    view = await report(store)

    counted = (view.orders_settled, view.orders_failed, view.orders_cancelled, view.orders_refunded)
    assert counted == (2, 1, 1, 1)
    assert (view.on_time, view.reviews_good, view.reviews_bad, view.distinct_buyers) == (1, 1, 0, 2)
    kept = await store.read(trust.standing, seller_id="seller")
    assert (view.good, view.bad) == (kept.good_micro / MICRO, kept.bad_micro / MICRO)
    assert (view.score, view.confidence) == trust.score_of(kept.good_micro, kept.bad_micro)


async def test_a_fact_is_counted_once(store: Store):
    assert await record(store, "order.settled", 1)

    assert not await record(store, "order.settled", 1)

    assert (await report(store)).orders_settled == 1


async def test_a_price_change_is_counted_once_and_shows_when_it_rises(store: Store):
    change = {"service_id": "svc_1", "seller_id": "seller", "manifest_digest": "d1"}
    await store.write(trust.record_price_change, **change, is_raise=True)
    await store.write(trust.record_price_change, **change, is_raise=True)

    view = await report(store)

    assert view.price_changes == 1
    assert "price_rising" in view.flags
    assert view.distinct_buyers == 0


async def test_scores_are_given_for_every_seller_asked_for(store: Store):
    for number in range(5):
        await record(store, "order.settled", number, buyer_id=f"buyer {number}")
        await record(store, "order.failed", number, buyer_id=f"buyer {number}", seller_id="worse")

    scores = await store.read(trust.scores, seller_ids=["seller", "worse", "unknown"])

    assert list(scores) == ["seller", "worse", "unknown"]
    assert scores["worse"] < scores["unknown"] < scores["seller"]
    assert scores["seller"] == (await report(store)).score


async def test_scores_of_nobody_are_none(store: Store):
    assert await store.read(trust.scores, seller_ids=[]) == {}


async def test_a_hundred_orders_of_one_buyer_count_less_than_five_buyers(store: Store):
    for number in range(100):
        await record(store, "order.settled", number, seller_id="one friend")
    for number in range(100, 105):
        await record(store, "order.settled", number, buyer_id=f"b{number}", seller_id="five buyers")

    scores = await store.read(trust.scores, seller_ids=["one friend", "five buyers"])

    assert scores["five buyers"] > scores["one friend"]


async def test_a_refusal_leaves_no_trace_of_the_fact(store: Store):
    def record_and_break(uow: UnitOfWork) -> None:
        trust.record(
            uow,
            kind="order.settled",
            order_id="ord_1",
            service_id="svc_1",
            seller_id="seller",
            buyer_id="buyer",
        )
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(record_and_break)

    assert await store.read(trust.recompute, seller_id="seller") == trust.Standing()
    assert await store.read(trust.standing, seller_id="seller") == trust.Standing()


FACTS = st.tuples(
    st.sampled_from([*COUNTER, "price"]),
    st.integers(0, 12),
    st.sampled_from(["ann", "ben", "cyd"]),
    st.sampled_from(["x", "y"]),
    st.sampled_from([True, False, None]),
)


def test_the_kept_standing_is_what_the_facts_amount_to(store: Store):
    @RUNS
    @given(st.lists(FACTS, max_size=40), st.uuids())
    def law(told: list[tuple[Any, ...]], run: Any) -> None:
        # Each example has sellers and orders of its own, on one store.
        def tell(uow: UnitOfWork) -> None:
            for kind, number, buyer_id, seller, is_on_time in told:
                if kind == "price":
                    trust.record_price_change(
                        uow,
                        service_id="svc_1",
                        seller_id=f"{seller} {run}",
                        manifest_digest=f"{number} {run}",
                        is_raise=bool(is_on_time),
                    )
                    continue
                trust.record(
                    uow,
                    kind=kind,
                    order_id=f"{number} {run}",
                    service_id="svc_1",
                    seller_id=f"{seller} {run}",
                    buyer_id=buyer_id,
                    is_on_time=is_on_time,
                )

        store.write_now(tell)
        for seller in ("x", "y"):
            kept = store.read_now(trust.standing, seller_id=f"{seller} {run}")
            assert kept == store.read_now(trust.recompute, seller_id=f"{seller} {run}")

    law()
    assert store.read_now(trust.check) == []


async def test_a_standing_that_was_tampered_with_is_found(store: Store):
    await record(store, "order.settled", 1)

    def tamper(uow: UnitOfWork) -> None:
        uow.connection.execute("UPDATE trust_standings SET good_micro = 9000000")

    await store.write(tamper)

    (finding,) = await store.scan(trust.check)
    assert finding.startswith("standing of seller is")
