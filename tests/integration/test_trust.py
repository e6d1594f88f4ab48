"""Trust: facts are counted once, and what is kept is what the facts amount to, at every moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market import chores, trust
from market.base.clock import Clock, ManualClock, to_micros
from market.base.store import Store
from market.base.work import Snapshot, UnitOfWork
from market.trust import anchors as anchor_acts
from market.trust import batches
from market.trust.scoring import DAY_MICROS, Standing
from tests.factories import enter
from tests.trust_reference import Fact, Found, found_by

RUNS = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MORNING = datetime(2026, 11, 22, 8, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return ManualClock(MORNING)


def fact(kind: str, order: Any, **changes: Any) -> dict[str, Any]:
    """A fact about the order of this name between one buyer and one seller."""
    return {
        "kind": kind,
        "order_id": f"ord_{order}",
        "service_id": "svc_1",
        "seller_id": "seller",
        "buyer_id": "buyer",
        "amount_minor": 100,
    } | changes


async def record(store: Store, kind: str, order: Any, **changes: Any) -> bool:
    return await store.write(trust.record, **fact(kind, order, **changes))


async def report(store: Store, seller_id: str = "seller") -> Any:
    return await store.read(
        trust.report,
        service_id="svc_1",
        slug="acme-pdf",
        seller_id=seller_id,
        registered_at="2026-11-22T12:00:00.000000Z",
    )


def weigh(store: Store) -> int:
    """Make a batch now, whether it is due or not."""
    return store.write_now(batches.put, prepared=store.read_now(batches.prepare))


def reference(store: Store) -> Found:
    """What the plain rule makes of the facts in the store, under its current batch."""

    def query(snapshot: Snapshot) -> Found:
        under = batches.reference_of(snapshot)
        facts = [Fact(*row) for row in batches.facts_of(snapshot).iter_rows()]
        return found_by(facts, under.day, under.last_fact, under.anchors)

    return store.read_now(query)


def kept(store: Store) -> dict[str, Standing]:
    def query(snapshot: Snapshot) -> dict[str, Standing]:
        rows = batches.kept_frame(snapshot, batches.STANDINGS).iter_rows()
        return {row[0]: Standing(*row[1:]) for row in rows}

    return store.read_now(query)


async def test_a_seller_without_facts_is_new_and_has_the_score_of_the_prior(store: Store):
    view = await report(store)

    assert (view.score, view.long, view.short, view.confidence) == (0.35, 0.35, 0.9367, 0.0)
    assert (view.good, view.bad, view.orders_settled, view.flags) == (0, 0, 0, ["new"])
    assert (view.rule, view.batch, view.weighed_at) == ("anchored-1", 0, None)


async def test_every_number_that_went_into_a_score_is_reported(store: Store):
    await record(store, "order.settled", 1, is_on_time=True)
    await record(store, "review.good", 1)
    await record(store, "order.settled", 2, buyer_id="other", is_on_time=False)
    await record(store, "order.disputed", 2, buyer_id="other")
    await record(store, "order.refunded", 2, buyer_id="other")
    await record(store, "order.failed", 3)
    await record(store, "order.cancelled", 4)
    weigh(store)

    view = await report(store)

    counted = (view.orders_settled, view.orders_failed, view.orders_cancelled)
    assert counted == (2, 1, 1)
    assert (view.orders_refunded, view.orders_disputed) == (1, 1)
    assert (view.on_time, view.reviews_good, view.reviews_bad, view.distinct_buyers) == (1, 1, 0, 2)
    assert (view.batch, view.parameters, view.typical_minor) == (1, 1, 100)
    assert (view.crowd.voices, view.anchors.voices, view.vouched) == (2, 0, 0.0)
    assert [(event.kind, event.day) for event in view.events[:2]] == [
        ("order.cancelled", "2026-11-22"),
        ("order.failed", "2026-11-22"),
    ]
    known = await store.read(trust.standing, seller_id="seller")
    found = trust.score_of(trust.memory_of(known))
    assert (view.score, view.confidence, view.good, view.bad) == (
        found.score, found.confidence, found.good, found.bad,
    )  # fmt: skip


async def test_a_fact_is_counted_once(store: Store):
    assert await record(store, "order.settled", 1)

    assert not await record(store, "order.settled", 1)

    assert (await report(store)).orders_settled == 1


async def test_of_a_review_the_latest_version_counts_and_all_are_kept(store: Store):
    """T6: a review may change; the market counts it once."""
    await record(store, "order.settled", 1)
    await record(store, "review.good", 1)
    praised = await report(store)

    await record(store, "review.bad", 1, version=2)

    view = await report(store)
    assert (view.reviews_good, view.reviews_bad) == (0, 1)
    assert view.score < praised.score
    assert [event.kind for event in view.events] == ["review.bad", "review.good", "order.settled"]
    assert kept(store) == reference(store).standings


async def test_an_order_between_two_of_one_principal_counts_for_nothing(store: Store):
    """M18: self-dealing is kept, and excluded."""
    await record(store, "order.settled", 1, is_own=True)
    await record(store, "review.good", 1)

    view = await report(store)

    assert (view.score, view.orders_settled, view.reviews_good, view.distinct_buyers) == (
        0.35, 0, 0, 0,
    )  # fmt: skip
    weigh(store)
    assert (await report(store)).crowd.voices == 0


async def test_a_price_change_is_counted_once_and_shows_when_it_rises(store: Store):
    change = {"service_id": "svc_1", "seller_id": "seller", "manifest_digest": "d1"}
    await store.write(trust.record_price_change, **change, is_raise=True)
    await store.write(trust.record_price_change, **change, is_raise=True)

    view = await report(store)

    assert (view.price_changes, view.price_raises) == (1, 1)
    assert "price_rising" in view.flags
    assert view.distinct_buyers == 0


async def test_scores_are_given_for_every_seller_asked_for(store: Store):
    for number in range(5):
        await record(store, "order.settled", number, buyer_id=f"buyer {number}")
        await record(store, "order.failed", f"w{number}", buyer_id="b", seller_id="worse")

    scores = await store.read(trust.scores, seller_ids=["seller", "worse", "unknown"])

    assert list(scores) == ["seller", "worse", "unknown"]
    assert scores["worse"] < scores["unknown"] < scores["seller"]
    assert scores["seller"] == (await report(store)).score
    assert await store.read(trust.scores, seller_ids=[]) == {}


async def test_a_refusal_leaves_no_trace_of_the_fact(store: Store):
    def record_and_break(uow: UnitOfWork) -> None:
        trust.record(uow, **fact("order.settled", 1))
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(record_and_break)

    assert kept(store) == {}
    assert store.read_now(batches.facts_of).height == 0


FACTS = st.tuples(
    st.sampled_from(
        ["order.settled", "order.settled", "order.failed", "order.cancelled", "order.refunded",
         "order.disputed", "review.good", "review.good", "review.bad", "price", "batch", "day"]
    ),
    st.integers(0, 15),
    st.integers(1, 3),
    st.integers(0, 400),
    st.booleans(),
)  # fmt: skip
BUYERS = ("ann", "ben", "cyd", "dan", "eve", "fay")


def test_what_is_kept_is_what_the_facts_amount_to_whatever_happens(store: Store, clock: Clock):
    """T9: facts, batches and days in any order; the plain rule finds the same to the millionth."""
    overseers = [f"overseer {number}" for number in range(2)]
    assert isinstance(clock, ManualClock)
    for name in BUYERS[:4]:
        store.write_now(make_anchor, name, overseers)

    @RUNS
    @given(st.lists(FACTS, max_size=40), st.uuids())
    def law(told: list[tuple[Any, ...]], run: Any) -> None:
        for what, number, version, amount, flag in told:
            if what == "batch":
                weigh(store)
            elif what == "day":
                clock.advance(timedelta(days=number))
            else:
                store.write_now(tell, what, f"{number} {run}", number, version, amount, flag)
        found = reference(store)
        assert kept(store) == found.standings
        assert store.read_now(batches.check) == []

    law()


def make_anchor(uow: UnitOfWork, agent_id: str, overseers: list[str]) -> None:
    for overseer_id, act in zip(overseers, ("proposed", "confirmed"), strict=True):
        uow.run(
            anchor_acts._ADD,
            buyer_id=agent_id,
            act=act,
            overseer_id=overseer_id,
            reason="vetted",
            acted_at=uow.now,
        )


def tell(
    uow: UnitOfWork, what: str, name: str, number: int, version: int, amount: int, flag: bool
) -> None:
    seller_id = f"seller {number % 3}"
    if what == "price":
        trust.record_price_change(
            uow,
            service_id="svc_1",
            seller_id=seller_id,
            manifest_digest=f"price {name}",
            is_raise=flag,
        )
        return
    trust.record(
        uow,
        kind=what,  # type: ignore[arg-type]
        order_id=name,
        service_id="svc_1",
        seller_id=seller_id,
        buyer_id=BUYERS[number % len(BUYERS)],
        amount_minor=amount,
        is_on_time=flag if what == "order.settled" else None,
        is_own=number == 13,
        version=version,
    )


async def test_facts_that_come_while_a_batch_is_made_count_under_it(store: Store):
    for number in range(6):
        await record(store, "order.settled", number, buyer_id=f"b{number}")
    prepared = store.read_now(batches.prepare)
    await record(store, "review.bad", 3, buyer_id="b3")
    await record(store, "order.failed", 9, buyer_id="new", seller_id="another")
    change = {"service_id": "svc_1", "seller_id": "third", "manifest_digest": "d1"}
    await store.write(trust.record_price_change, **change, is_raise=True)

    assert store.write_now(batches.put, prepared=prepared) == 1

    assert kept(store) == reference(store).standings
    assert store.read_now(batches.reference_of).last_fact == 6
    assert store.read_now(batches.check) == []


async def test_of_two_batches_made_at_once_one_is_put_in_place(store: Store):
    await record(store, "order.settled", 1)
    first, second = (store.read_now(batches.prepare) for _ in range(2))

    assert store.write_now(batches.put, prepared=first) == 1
    assert store.write_now(batches.put, prepared=second) == 0


async def test_the_chore_weighs_when_there_is_something_new(store: Store, clock: ManualClock):
    assert await chores.weigh_trust(store) == 0
    await record(store, "order.settled", 1)
    assert await chores.weigh_trust(store) == 1

    await record(store, "order.settled", 2)
    assert await chores.weigh_trust(store) == 0
    clock.advance(timedelta(minutes=5))
    assert await chores.weigh_trust(store) == 2

    clock.advance(timedelta(minutes=5))
    assert await chores.weigh_trust(store) == 0
    clock.advance(timedelta(days=1))
    assert await chores.weigh_trust(store) == 3


async def test_a_change_of_the_anchors_is_weighed_at_once(store: Store):
    await record(store, "order.settled", 1)
    await chores.weigh_trust(store)
    overseers = [await overseer(store, name) for name in ("ada", "bob")]
    buyer = await enter(store, "cyd", "buyer")
    act = {"agent_id": buyer.id, "reason": "vetted"}
    await store.write(trust.propose_anchor, caller=overseers[0].caller, kind="buyer", **act)
    await store.write(trust.confirm_anchor, caller=overseers[1].caller, **act)

    assert await chores.weigh_trust(store) == 2

    assert (await store.read(batches.reference_of)).anchors == {buyer.id}


async def overseer(store: Store, handle: str) -> Any:
    """An overseer, whom the settings need not list here."""
    party = await enter(store, handle, "buyer")
    scopes = frozenset({"read", "oversee"})
    return party._replace(caller=party.caller._replace(kind="overseer", scopes=scopes))


async def test_age_halves_what_an_order_says_every_thirty_days(store: Store, clock: ManualClock):
    await record(store, "order.failed", 1)
    weigh(store)
    fresh = kept(store)["seller"]
    clock.advance(timedelta(days=30))
    weigh(store)

    old = kept(store)["seller"]

    assert old.crowd_bad < fresh.crowd_bad
    # Waiting heals nothing: the short memory counts orders, not days.
    assert old.last_crowd_bad == fresh.last_crowd_bad == 1_000_000


@pytest.mark.parametrize("table", ["trust_standings", "trust_pairs", "trust_buyers"])
async def test_what_was_tampered_with_is_found(store: Store, table: str):
    await record(store, "order.settled", 1)
    weigh(store)
    column = {"trust_pairs": "good_micro", "trust_buyers": "crowd_micro"}.get(table, "settled")

    def tamper(uow: UnitOfWork) -> None:
        uow.connection.execute(f"UPDATE {table} SET {column} = 900000")

    await store.write(tamper)

    (finding,) = await store.scan(batches.check)
    assert f"{column} is 900000" in finding


@pytest.mark.parametrize("act", ["UPDATE trust_facts SET version = 9", "DELETE FROM trust_facts"])
async def test_no_statement_changes_a_fact(store: Store, act: str):
    await record(store, "order.settled", 1)

    def tamper(uow: UnitOfWork) -> None:
        uow.connection.execute(act)

    with pytest.raises(Exception, match="append-only"):
        await store.write(tamper)


async def test_the_day_of_a_batch_is_that_of_the_markets_clock(store: Store, clock: ManualClock):
    await record(store, "order.settled", 1)
    weigh(store)

    under = await store.read(batches.reference_of)

    assert under.day == to_micros(clock.now()) // DAY_MICROS
