"""What a seller is made of before it speaks to a market."""

import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buyer_agents.returning import WrongReturn
from market.protocol.manifest import BadManifest
from market.protocol.signing import BadKey, SigningKey
from seller_services import Chunk, Order, Seller, handle_of, load_or_make
from seller_services.bargaining import Counter
from seller_services.behaviours import joined
from seller_services.handling import HandlerFailed, Steering, outputs_of
from seller_services.pricing import Conduct, Honest
from seller_services.repricing import Repricer
from seller_services.samples import SAMPLES

MANIFEST = SAMPLES["profile-csv"].manifest
SERVICE = SimpleNamespace(manifest={}, version="1.0")


def test_a_key_file_is_made_once_and_is_its_owners_alone(tmp_path: Path):
    path = tmp_path / "keys" / "acme.key"

    made = load_or_make(path)

    assert load_or_make(path).kid == made.kid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_no_key_is_told_as_such_and_left_alone(tmp_path: Path):
    path = tmp_path / "acme.key"
    path.write_text("a shopping list")

    with pytest.raises(BadKey):
        load_or_make(path)

    assert path.read_text() == "a shopping list"


@pytest.mark.parametrize(
    ("path", "handle"), [("acme.key", "acme"), ("keys/My_Shop.jwk", "my-shop"), ("a-b", "a-b")]
)
def test_a_key_files_name_is_the_handle(path: str, handle: str):
    assert handle_of(Path(path)) == handle


def test_a_seller_is_called_as_it_says_or_by_its_key_file_or_its_manifest(tmp_path: Path):
    path, key = tmp_path / "acme.key", SigningKey.generate()

    assert Seller(MANIFEST, key=path, handle="shop").handle_name == "shop"
    assert Seller(MANIFEST, key=path).handle_name == "acme"
    assert Seller(MANIFEST, key=key).handle_name == "profile-csv"
    assert not path.exists(), "the key is made when it serves, not before"


def test_a_manifest_that_is_wrong_stops_the_seller_at_once(tmp_path: Path):
    path = tmp_path / "acme.toml"
    path.write_text('manifest = 1\nid = "acme"\n')

    with pytest.raises(BadManifest, match=r"acme\.toml"):
        Seller(path, key=SigningKey.generate())


def plain(order: Order) -> Iterator[Chunk]:
    yield Chunk({}, 1)


async def asynchronous(order: Order) -> AsyncIterator[dict[str, Any]]:
    yield {}


async def no_generator(order: Order) -> dict[str, Any]:
    return {}


def test_a_handler_is_a_generator_function_and_stays_what_it_was():
    seller = Seller(MANIFEST, key=SigningKey.generate())

    assert seller.handle(plain) is plain
    assert seller.handle(asynchronous) is asynchronous
    with pytest.raises(TypeError, match="generator"):
        seller.handle(no_generator)  # type: ignore[type-var]


def test_steering_is_taken_once_and_told_by_its_offset():
    steering = Steering()
    steering.put(4, "louder")
    steering.put(9, "slower")

    assert steering.take() == ["louder", "slower"]
    assert steering.take() == []
    assert steering.taken() == [4, 9]
    assert steering.taken() == []


@pytest.mark.parametrize("made", [None, plain, 7])
def test_a_change_of_a_handler_that_makes_none_is_named(made: Any):
    seller = Seller(MANIFEST, key=SigningKey.generate())
    seller.handle(plain)

    def change(handler: Any) -> Any:
        return None if made is None else no_generator if made == 7 else made

    if made is plain:
        assert seller.with_handler(change) is not seller
        return
    with pytest.raises(WrongReturn, match=r"change returned .*; it returns a handler: a gen"):
        seller.with_handler(change)


class Absent(Conduct, frozen=True, kw_only=True):
    """Forgets to return the seller."""

    def joins(self, seller: Seller) -> Any:
        seller.with_bargain(lambda counter: None)


def test_a_behaviour_that_returns_no_seller_is_named():
    seller = Seller(MANIFEST, key=SigningKey.generate())
    told = rf"{__name__}:Absent\.joins returned None \(NoneType\); it returns a Seller"

    with pytest.raises(WrongReturn, match=told):
        joined(Absent(), seller)
    assert joined(Honest(), seller) is seller


@pytest.mark.parametrize("percent", [None, 80.0, True, 0, "80"])
async def test_a_price_that_is_no_percent_is_named(percent: Any):
    def turn(sales: Any) -> Any:
        return percent

    with pytest.raises(WrongReturn, match=r"turn returned .*; it returns a whole number of perc"):
        await Repricer(turn, 0.001).run(cast("Any", None), cast("Any", SERVICE))


@pytest.mark.parametrize("amount", [0.5, "1", True])
async def test_an_answer_to_a_bargain_that_is_no_amount_is_named(amount: Any):
    one = SimpleNamespace(slug="s", seller_id="me")
    market = SimpleNamespace(agent_id="me")
    counter = Counter(cast("Any", market), "s", lambda counter: amount)

    with pytest.raises(WrongReturn, match="it returns a whole number of minor units, or None"):
        await counter._answer(cast("Any", one))


def one_order() -> Any:
    return cast("Any", SimpleNamespace(id="ord_1"))


async def takes_no_order() -> AsyncIterator[Any]:
    yield {}


async def breaks(order: Order) -> AsyncIterator[Any]:
    yield {"a": 1} if order.id else {}
    raise KeyError("the number of my card")


async def counts_in_words(order: Order) -> AsyncIterator[Any]:
    yield Chunk({}, units=cast("Any", "one"))


async def chunks_a_list(order: Order) -> AsyncIterator[Any]:
    yield Chunk(cast("Any", []), units=1)


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (takes_no_order, "the handler failed with TypeError"),
        (breaks, "the handler failed with KeyError"),
        (counts_in_words, "the handler yields a Chunk with a str for its units"),
        (chunks_a_list, "the handler yields a Chunk of a list, not of a dict"),
    ],
)
async def test_whatever_a_handler_does_ends_its_order_and_tells_the_type_alone(
    handler: Any, told: str
):
    with pytest.raises(HandlerFailed) as failure:
        [output async for output in outputs_of(handler, one_order())]

    assert str(failure.value) == told
