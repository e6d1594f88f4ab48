"""Reviews: by receipt, one for each order, and never more than the ledger saw."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import catalog, ledger, orders, reviews, sessions, trust
from market.base.caller import BadCommitment
from market.base.clock import ManualClock
from market.base.errors import InsufficientScope
from market.base.paging import BadCursor
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.commitments import ReviewClaims
from market.protocol.wire import AskSupport, OrderView
from market.trust import batches
from tests.factories import Town, build_town, enter, post_review, race


async def cancelled(town: Town, chunks: int) -> OrderView:
    """An order that the buyer stopped after so many chunks."""
    order = await town.place()
    for index in range(chunks):
        await town.deliver(order, index)
    await town.control(order.session_id, "cancel", order_id=order.id)
    return await town.order(order)


async def test_a_review_is_public_and_a_fact_for_trust(town: Town):
    order = await town.settled()

    review = await post_review(town.buyer, order, verdict="bad", comment="Late.", tags=["slow"])

    assert (review.order_id, review.service_id) == (order.id, town.service.id)
    assert (review.buyer_id, review.seller_id) == (town.buyer.id, town.seller.id)
    assert (review.verdict, review.comment, review.tags) == ("bad", "Late.", ["slow"])
    signed = town.buyer.caller.open(
        review.commitment,
        typ="review+jwt",
        claims=ReviewClaims,
        now=town.store.clock.now(),
    )
    assert signed.claims.verdict == "bad"
    page = await town.store.scan(
        reviews.reviews_of, service_id=town.service.id, cursor=None, limit=10
    )
    assert page.items == [review]
    report = await town.store.read(catalog.trust_report, service_id=town.service.id)
    assert (report.orders_settled, report.reviews_bad, report.reviews_good) == (1, 1, 0)


async def test_a_review_is_noted_in_the_journey_while_it_is_open(town: Town):
    order = await town.settled()

    review = await post_review(town.buyer, order)

    event = (await town.log_of(order.session_id))[-1]
    assert (event["kind"], event["actor_id"], event["order_id"]) == (
        "review.posted", town.buyer.id, order.id
    )  # fmt: skip
    assert event["body"] == {
        "review_id": review.id,
        "service_id": town.service.id,
        "verdict": "good",
        "comment": "",
        "tags": [],
    }


async def test_a_closed_journey_does_not_keep_a_buyer_from_reviewing(town: Town):
    order = await town.settled()
    await town.store.write(
        sessions.close, caller=town.buyer.caller, session_id=order.session_id, reason="done"
    )
    before = await town.log_of(order.session_id)

    assert await post_review(town.buyer, order)

    assert await town.log_of(order.session_id) == before


async def test_saying_the_same_again_returns_the_first_review(town: Town):
    order = await town.settled()
    first = await post_review(town.buyer, order, comment="Fine.")

    again = await post_review(town.buyer, order, comment="Fine.")

    assert again == first
    assert (await town.store.read(trust.standing, seller_id=town.seller.id)).reviews_good == 1
    assert (
        len([e for e in await town.log_of(order.session_id) if e["kind"] == "review.posted"]) == 1
    )


@pytest.mark.parametrize("change", [{"verdict": "bad"}, {"comment": "More."}, {"tags": ["x"]}])
async def test_a_buyer_may_say_something_else_and_every_version_is_kept(
    town: Town, change: dict[str, Any]
):
    """T6: one review per order; its latest version counts, and all of them can be read."""
    order = await town.settled()
    first = await post_review(town.buyer, order)

    second = await post_review(town.buyer, order, **change)

    assert (second.id, second.version, second.posted_at) == (first.id, 2, first.posted_at)
    versions = await town.store.read(reviews.versions_of, review_id=first.id)
    assert [version.commitment for version in versions] == [first.commitment, second.commitment]
    standing = await town.store.read(trust.standing, seller_id=town.seller.id)
    is_bad = change == {"verdict": "bad"}
    assert (standing.reviews_good, standing.reviews_bad) == (not is_bad, is_bad)


async def test_after_a_day_a_review_stands(sqlite_settings: Settings):
    """T6: it is editable for 24 hours, and not a moment longer."""
    clock = ManualClock(datetime(2026, 11, 22, 8, tzinfo=UTC))
    store = Store.open(sqlite_settings, clock=clock)
    town = await build_town(store)
    order = await town.settled()
    first = await post_review(town.buyer, order)
    clock.advance(timedelta(hours=24))
    await post_review(town.buyer, order, verdict="bad")
    clock.advance(timedelta(microseconds=1))

    with pytest.raises(reviews.AlreadyReviewed) as refusal:
        await post_review(town.buyer, order, verdict="good")

    assert refusal.value.facts == {"review_id": first.id}
    assert (await post_review(town.buyer, order, verdict="bad")).version == 2
    store.close()


async def test_a_review_does_not_change_for_ever(town: Town):
    order = await town.settled()
    for number in range(reviews.MAX_VERSIONS):
        await post_review(town.buyer, order, comment=f"Take {number}.")

    with pytest.raises(reviews.AlreadyReviewed):
        await post_review(town.buyer, order, comment="One more.")


async def test_of_racing_versions_one_counts_and_none_is_lost(town: Town):
    order = await town.settled()
    words = iter("abcdefgh")

    await race(
        8,
        lambda: post_review(town.buyer, order, comment=next(words)),
        collect=reviews.AlreadyReviewed,
    )

    assert (await town.store.read(trust.standing, seller_id=town.seller.id)).reviews_good == 1
    page = await town.store.scan(
        reviews.reviews_of, service_id=town.service.id, cursor=None, limit=10
    )
    versions = await town.store.read(reviews.versions_of, review_id=page.items[0].id)
    assert [version.version for version in versions] == list(range(1, 9))
    assert await town.store.scan(batches.check) == []


async def test_versions_of_nothing_are_refused(town: Town):
    with pytest.raises(reviews.ReviewNotFound):
        await town.store.read(reviews.versions_of, review_id="rev_01h455vb4pex5vsknk084sn02q")


async def test_only_the_buyer_of_an_order_reviews_it(town: Town):
    order = await town.settled()
    stranger = await enter(town.store, "stranger", "buyer")

    with pytest.raises(orders.OrderNotFound):
        await post_review(stranger, order)
    with pytest.raises(InsufficientScope):
        await post_review(town.seller, order)
    seller = town.seller._replace(
        caller=town.seller.caller._replace(scopes=frozenset({"review", "read"}))
    )
    with pytest.raises(orders.OrderNotFound):
        await post_review(seller, order)


async def test_a_review_in_anothers_name_is_refused(town: Town):
    order = await town.settled()

    with pytest.raises(BadCommitment):
        await post_review(town.buyer, order, iss=town.seller.id)


async def test_an_unknown_order_has_no_review(town: Town):
    order = await town.settled()

    with pytest.raises(orders.OrderNotFound):
        await post_review(town.buyer, order, order_id="ord_01h455vb4pex5vsknk084sn02q")


async def test_without_the_orders_receipt_there_is_no_review(town: Town):
    order, other = await town.settled(), await town.settled()

    with pytest.raises(reviews.ReceiptMismatch):
        await post_review(town.buyer, order, receipt_id=other.receipt_id)
    with pytest.raises(reviews.ReceiptMismatch):
        await post_review(town.buyer, order, receipt_id="rcp_01h455vb4pex5vsknk084sn02q")


async def test_an_order_that_runs_is_not_reviewed(town: Town):
    done, running = await town.settled(), await town.place()

    with pytest.raises(reviews.OrderNotEnded):
        await post_review(town.buyer, running, receipt_id=done.receipt_id)


async def test_an_order_that_delivered_nothing_is_not_reviewed(town: Town):
    order = await cancelled(town, chunks=0)

    with pytest.raises(reviews.NothingToReview):
        await post_review(town.buyer, order)


async def test_a_partly_delivered_order_may_be_reviewed(town: Town):
    order = await cancelled(town, chunks=1)

    assert (await post_review(town.buyer, order, verdict="bad")).verdict == "bad"


async def test_a_refunded_order_may_be_reviewed_with_either_receipt(store: Store):
    town = await build_town(
        store, policies={"refund": "within-window", "refund_window_seconds": 60}
    )
    settled = [await town.settled(), await town.settled()]
    await store.write(
        ledger.mint,
        agent_id=town.seller.id,
        amount_minor=1_000_000,
        currency="XTS",
        idempotency_key="reserve",
    )
    for order in settled:
        await store.write(
            orders.support,
            caller=town.buyer.caller,
            order_id=order.id,
            request=AskSupport(action="refund"),
        )
    refunded = await town.order(settled[1])

    await post_review(town.buyer, settled[0], verdict="bad")
    await post_review(town.buyer, refunded, verdict="bad")

    assert refunded.receipt_id != settled[1].receipt_id
    standing = await store.read(trust.standing, seller_id=town.seller.id)
    assert (standing.refunded, standing.reviews_bad, standing.crowd_good) == (2, 2, 0)


async def test_reviews_are_listed_newest_first_page_by_page(town: Town):
    posted = [await post_review(town.buyer, await town.settled()) for _ in range(5)]

    pages, cursor = [], None
    while True:
        page = await town.store.scan(
            reviews.reviews_of, service_id=town.service.id, cursor=cursor, limit=2
        )
        pages.append(page.items)
        cursor = page.next
        if cursor is None:
            break

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [review for page in pages for review in page] == posted[::-1]


async def test_reviews_of_nothing_are_refused(town: Town):
    with pytest.raises(catalog.ServiceNotFound):
        await town.store.scan(reviews.reviews_of, service_id="svc_none", cursor=None, limit=10)
    with pytest.raises(BadCursor):
        await town.store.scan(
            reviews.reviews_of, service_id=town.service.id, cursor="WzFd", limit=10
        )
