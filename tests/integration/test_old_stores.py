"""A store from before disputes, batches of trust and bonds is brought up to date, and is whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from market import catalog, chores, ledger, orders, reviews, trust
from market.audit import audit
from market.base.database import sqlite_path
from market.base.migration import downgrade, migrate
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.wire import GiveRefund, OrderView
from market.trust import batches
from tests.factories import Town, build_town, post_review

OLD = "0018"
PRICE = 400_000
FEE = 6_000


@contextmanager
def rows_of(settings: Settings) -> Iterator[Connection]:
    """The tables as they lie there, whatever their form."""
    url = settings.store.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url or f"sqlite:///{sqlite_path(settings)}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


class Past:
    """What happened on a store before it grew old."""

    def __init__(self, town: Town, **placed: OrderView) -> None:
        self.town = town
        self.orders = placed


async def lived_in(store: Store) -> Past:
    """Orders of every ending, one that is open, a refund, and reviews."""
    town = await build_town(store)
    good, refunded = await town.settled(), await town.settled()
    for order, verdict in ((good, "good"), (refunded, "bad")):
        await post_review(town.buyer, order, verdict=verdict)
    await store.write(
        orders.refund,
        caller=town.seller.caller,
        order_id=refunded.id,
        request=GiveRefund(reason="it was not as I said"),
    )
    failed, cancelled, waiting = [await town.place() for _ in range(3)]
    await store.write(orders.fail, caller=town.seller.caller, order_id=failed.id, reason="I cannot")
    await town.control(cancelled.session_id, "cancel", reason="no more")
    return Past(
        town, good=good, refunded=refunded, failed=failed, cancelled=cancelled, waiting=waiting
    )


def make_old(settings: Settings, past: Past) -> None:
    """Give a store the form of old, with the rows that a market wrote then."""
    downgrade(settings, revision=OLD)
    with rows_of(settings) as connection:
        # Of a failed order what was captured stood in its fact: nothing.
        connection.execute(
            text("UPDATE trust_facts SET amount_minor = 0 WHERE kind = 'order.failed'")
        )
        connection.execute(
            text(
                "INSERT INTO trust_facts (subject_id, kind, seller_id, service_id, recorded_at) "
                "VALUES ('digest', 'price.raised', :seller, :service, 1)"
            ),
            {"seller": past.town.seller.id, "service": past.town.service.id},
        )
        connection.execute(
            text(
                "INSERT INTO trust_standings VALUES (:seller, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9)"
            ),
            {"seller": past.town.seller.id},
        )


@pytest.fixture
async def past(settings: Settings) -> Past:
    """The past of the store that ``settings`` name, which lies there in the form of old."""
    store = Store.open(settings)
    past = await lived_in(store)
    store.close()
    make_old(settings, past)
    return past


@pytest.fixture
def renewed(settings: Settings, past: Past) -> Iterator[Store]:
    migrate(settings)
    store = Store.open(settings)
    yield store
    store.close()


async def test_an_old_store_is_whole_once_its_facts_are_weighed(renewed: Store, past: Past):
    seller_id = past.town.seller.id
    assert await renewed.scan(audit) == []
    assert await renewed.read(trust.standing, seller_id=seller_id) == trust.Standing()

    assert await chores.weigh_trust(renewed) == 1

    assert await renewed.scan(audit) == []
    known = await renewed.read(trust.standing, seller_id=seller_id)
    counts = (known.settled, known.failed, known.cancelled, known.refunded)
    assert counts == (2, 1, 1, 1)
    assert (known.reviews_good, known.reviews_bad) == (1, 1)
    assert (known.price_changes, known.price_raises, known.distinct_buyers) == (1, 1, 1)


async def test_old_facts_keep_their_order_and_a_failed_one_gets_its_price(
    renewed: Store, past: Past
):
    rows: list[dict[str, Any]] = (await renewed.scan(batches.facts_of)).to_dicts()

    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows == sorted(rows, key=lambda row: row["recorded_at"])
    assert rows[0]["kind"] == "price.raised"
    assert {row["currency"] for row in rows[1:]} == {"XTS"}
    [failed] = [row for row in rows if row["kind"] == "order.failed"]
    assert (failed["subject_id"], failed["amount_minor"]) == (past.orders["failed"].id, PRICE)


async def test_an_old_refund_has_its_row_and_leaves_nothing_to_refund(
    renewed: Store, past: Past, settings: Settings
):
    town, refunded = past.town._replace(store=renewed), past.orders["refunded"]
    with rows_of(settings) as connection:
        found = connection.execute(
            text("SELECT order_id, number, amount_minor, fee_minor, cause FROM order_refunds")
        ).all()

    assert found == [(refunded.id, 1, PRICE, FEE, "support")]
    with pytest.raises(ledger.RefundExceeded):
        await renewed.write(
            orders.refund,
            caller=town.seller.caller,
            order_id=refunded.id,
            request=GiveRefund(amount_minor=1, reason="once more"),
        )


async def test_an_old_review_is_its_own_first_version_and_may_change(renewed: Store, past: Past):
    town, good = past.town._replace(store=renewed), past.orders["good"]

    changed = await post_review(town.buyer._replace(store=renewed), good, verdict="bad")

    versions = await renewed.read(reviews.versions_of, review_id=changed.id)
    assert [(each.version, each.verdict) for each in versions] == [(1, "good"), (2, "bad")]
    await chores.weigh_trust(renewed)
    assert await renewed.scan(audit) == []


async def test_what_was_earned_before_counts_for_the_cap_and_open_orders_go_on(
    renewed: Store, past: Past
):
    town = past.town._replace(store=renewed)
    await renewed.write(catalog.set_order_limits, currency="XTS", typical_minor=100, orders=100)
    shown = await renewed.read(orders.seller_limits, seller_id=town.seller.id)
    assert (shown.bond_minor, shown.order_cap_minor) == (0, (PRICE - FEE) // 10)

    for index in range(2):
        await town.deliver(past.orders["waiting"], index, units=2)
    await town.complete(past.orders["waiting"])
    settled = await town.accept(past.orders["waiting"])

    assert (settled.state, settled.captured_minor) == ("settled", PRICE)
    assert await renewed.scan(ledger.check) == []
    await chores.weigh_trust(renewed)
    assert await renewed.scan(audit) == []
