"""What ``analytics.money`` says of a seller whose bond was forfeited, against its accounts."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from market import analytics, catalog, ledger, orders
from market.base.clock import ManualClock
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import Snapshot
from market.protocol.wire import MoveBond, ReleasePayment
from market.report import compose, plots_of
from tests.aftermath import answer, empty, open_dispute
from tests.factories import Town, build_town

PRICE, FEE, BOND = 400_000, 6_000, 1_200_000


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = Store.open(
        settings.with_(typical_after_orders=2, start_cap_orders=4, signup_grant_minor=0),
        clock=ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC)),
    )
    yield opened
    opened.close()


@pytest.fixture
async def town(store: Store) -> Town:
    """A town with a typical order, and a seller that came with a bond."""
    town = await build_town(store, minor=1_000_000_000)
    await store.write(
        ledger.mint, agent_id=town.seller.id, amount_minor=BOND, currency="XTS", idempotency_key="b"
    )
    await store.write(
        orders.post_bond,
        caller=town.seller.caller,
        request=MoveBond(amount_minor=BOND, currency="XTS"),
        idempotency_key="b",
    )
    return town


async def typical(town: Town) -> None:
    await town.store.write(
        catalog.set_order_limits, currency="XTS", typical_minor=PRICE, orders=100
    )


async def fail(town: Town) -> None:
    order = await town.place()
    await town.store.write(
        orders.fail, caller=town.seller.caller, order_id=order.id, reason="I cannot"
    )


async def held(town: Town) -> int:
    """What the seller's wallet and bond hold now."""

    def bond(snapshot: Snapshot) -> int:
        return ledger.bond_minor(snapshot, seller_id=town.seller.id, currency="XTS")

    return int(await town.available(town.seller) + await town.store.read(bond))


def told(town: Town, folder: Path) -> tuple[analytics.Facts, dict[str, Any]]:
    facts = analytics.open(town.store, directory=folder)
    [row] = analytics.money(facts).to_dicts()
    return facts, row


async def test_what_was_forfeited_is_neither_kept_nor_a_fee(town: Town, tmp_path: Path):
    await town.settled()
    await typical(town)
    for _ in range(2):
        await fail(town)

    facts, row = told(town, tmp_path / "facts")

    assert (row["revenue_minor"], row["fees_minor"]) == (PRICE, FEE)
    assert (row["forfeited_minor"], row["drawn_minor"]) == (BOND, 0)
    assert row["kept_minor"] == PRICE - FEE - BOND
    assert row["kept_minor"] == await held(town) - BOND
    assert row["difference_minor"] == 0
    made = compose(facts, source=str(tmp_path))
    [money] = [block for block in made.blocks if block.name == "money"]
    assert any("forfeited 1.20 XTS" in sentence for sentence in money.says)
    assert "forfeited" in plots_of(made)["money"].svg


async def test_what_a_bond_gave_back_to_a_buyer_is_a_refund(town: Town, tmp_path: Path):
    """A refund that the wallet cannot cover comes out of the bond; the rest may be forfeited."""
    order = await town.place()
    await town.deliver(order, 0, units=4)
    await town.store.write(
        orders.release,
        caller=town.buyer.caller,
        order_id=order.id,
        request=ReleasePayment(units=None),
    )
    spent = await town.available(town.seller)
    await empty(town, town.seller)
    await town.complete(order)
    await typical(town)
    await answer(town, await open_dispute(town, order), "concede")

    _, row = told(town, tmp_path / "facts")

    assert row["refunds_minor"] == PRICE
    # The market gives its fee back, so the seller owes the rest.
    assert row["drawn_minor"] == PRICE - FEE
    assert row["forfeited_minor"] > 0
    assert row["kept_minor"] == -row["forfeited_minor"]
    assert row["kept_minor"] == await held(town) + spent - BOND
    assert row["difference_minor"] == 0
