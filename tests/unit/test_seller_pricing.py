"""How sellers decide their prices, and how a price is written into the next version."""

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buyer_agents import BadParams
from seller_services import Chunk, Order, Seller
from seller_services.behaviours import BEHAVIOURS, behaviour_named
from seller_services.handling import CannotDeliver
from seller_services.pricing import Conduct, Discounting, Dynamic, Repricing
from seller_services.repricing import Sales, priced, version_above
from seller_services.samples import SAMPLES


def prices(behaviour: Repricing, *sold: int) -> list[int]:
    """The price after each look, of a seller that sold so many orders before it."""
    percents, percent = [], 100
    for count in sold:
        percent = behaviour.percent(Sales(count, percent))
        percents.append(percent)
    return percents


def test_a_discounter_goes_down_while_it_sells_too_little_and_never_up() -> None:
    behaviour = Discounting(fewest=2, step_percent=20, floor_percent=50)

    assert prices(behaviour, 0, 2, 1, 9, 0, 0) == [80, 80, 60, 60, 50, 50]


def test_a_dynamic_price_follows_demand_between_its_bounds() -> None:
    behaviour = Dynamic(busy=3, idle=1, step_percent=30, floor_percent=60, ceiling_percent=150)

    assert prices(behaviour, 3, 3, 2, 1, 0, 0, 0, 5) == [130, 150, 150, 120, 90, 60, 60, 90]


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"busy": 1, "idle": 1}, "idle is below busy"),
        ({"floor_percent": 110}, "floor_percent is at most 100"),
        ({"ceiling_percent": 90}, "ceiling_percent at least"),
        ({"every_seconds": 0}, "every_seconds of dynamic"),
        ({"every": 10}, "did you mean 'every_seconds'"),
    ],
)
def test_a_dynamic_price_that_contradicts_itself_is_refused(params: Any, what: str) -> None:
    with pytest.raises(BadParams, match=what):
        behaviour_named("dynamic", params)


@pytest.mark.parametrize(
    ("price", "percent", "after"),
    [
        ({"per": "call", "amount": "0.40"}, 90, {"amount": "0.36"}),
        ({"per": "unit", "amount": "0.000001"}, 1, {"amount": "0.000001"}),
        ({"per": "unit", "amount": "0.000003"}, 50, {"amount": "0.000001"}),
        (
            {"per": "flat", "amount": "0.50", "includes": 20, "beyond": "0.01"},
            150,
            {"amount": "0.75", "includes": 20, "beyond": "0.015"},
        ),
        (
            {"per": "tiers", "tiers": [{"up_to": 10, "amount": "0.03"}, {"amount": "0.02"}]},
            50,
            {"tiers": [{"up_to": 10, "amount": "0.015"}, {"amount": "0.01"}]},
        ),
    ],
)
def test_every_amount_of_a_price_moves_alike(price: Any, percent: int, after: Any) -> None:
    price["currency"] = "XTS"
    tree = {"id": "acme", "price": price}

    assert priced(tree, percent) == {"id": "acme", "price": {**price, **after}}


def test_a_price_in_whole_units_stays_whole() -> None:
    price = {"per": "call", "amount": "7", "currency": "JPY"}

    assert priced({"price": price}, 50)["price"]["amount"] == "3"


@pytest.mark.parametrize(
    ("version", "after"), [("1", "1.0.1"), ("1.0", "1.0.1"), ("1.9.9", "1.9.10")]
)
def test_the_next_version_is_above(version: str, after: str) -> None:
    assert version_above(version) == after


def sample() -> Seller:
    one = SAMPLES["key-sentences"]
    seller = Seller(one.manifest, key="unused.key")
    seller.handle(one.handler)
    return seller


def test_a_premium_seller_asks_more_and_takes_its_work_back() -> None:
    seller = behaviour_named("premium", {"percent": 200, "refund_seconds": 60}).joins(sample())

    assert seller.listing["price"]["amount"] == "0.06"
    assert seller.manifest.policies.refund == "within-window"
    assert seller.manifest.policies.refund_window_seconds == 60
    assert seller.manifest.policies.data_use == sample().manifest.policies.data_use
    assert sample().listing["price"]["amount"] == "0.03"


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_behaviour_makes_a_seller_of_the_same_service(name: str) -> None:
    params: dict[str, Any] = {"bait-and-switch": {"drops": ["keywords"]}}.get(name, {})

    conduct = behaviour_named(name, params, chance=random.Random(1))

    assert isinstance(conduct, Conduct)
    assert conduct.joins(sample()).listing["id"] == "key-sentences"


# Flaky


def work(order: Order) -> Iterator[Chunk]:
    for number in range(3):
        yield Chunk({"row": number}, units=1)


async def fate(handler: Any, name: str) -> str:
    try:
        chunks = [chunk async for chunk in handler(cast("Order", SimpleNamespace(id=name)))]
    except CannotDeliver:
        return "failed"
    return "delivered" if chunks == list(work(cast("Order", None))) else "spoilt"


async def fates(seed: int, **params: Any) -> list[str]:
    conduct: Any = behaviour_named("flaky", params, chance=random.Random(seed))
    handler = conduct.of(work)
    return [await fate(handler, f"ord_{number}") for number in range(300)]


async def test_a_flaky_seller_fails_as_often_as_it_says_and_repeats_under_its_seed() -> None:
    seen = await fates(5, fails=0.2)

    assert set(seen) == {"delivered", "failed"}
    assert 0.13 < seen.count("failed") / len(seen) < 0.27
    assert seen == await fates(5, fails=0.2)
    assert seen != await fates(6, fails=0.2)


async def test_an_order_that_failed_fails_again_when_it_is_taken_up() -> None:
    conduct: Any = behaviour_named("flaky", {"fails": 0.5}, chance=random.Random(1))
    handler = conduct.of(work)
    names = [f"ord_{number}" for number in range(20)]

    first = [await fate(handler, name) for name in names]

    assert [await fate(handler, name) for name in reversed(names)] == first[::-1]


async def test_a_slow_order_pauses_before_each_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("seller_services.behaviours.anyio.sleep", sleep)
    conduct: Any = behaviour_named(
        "flaky", {"fails": 0, "slow": 1, "pause_seconds": 2}, chance=random.Random(1)
    )

    assert await fate(conduct.of(work), "ord_1") == "delivered"
    assert pauses == [2.0] * 3


class Mine(Conduct, frozen=True, kw_only=True):
    """A behaviour of one's own: asks as much as there are letters in its name."""

    agent: str
    times: int = 1

    def joins(self, seller: Seller) -> Seller:
        return seller.with_listing(priced(seller.listing, 100 * self.times * len(self.agent)))


def test_a_behaviour_of_ones_own_is_named_by_module_and_class() -> None:
    conduct = behaviour_named(f"{__name__}:Mine", {"times": 2}, agent="acme")

    assert conduct.joins(sample()).listing["price"]["amount"] == "0.24"
    with pytest.raises(BadParams, match="did you mean 'times'"):
        behaviour_named(f"{__name__}:Mine", {"time": 2}, agent="acme")
