"""What a seller is made of before it speaks to a market."""

import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from market.protocol.manifest import BadManifest
from market.protocol.signing import BadKey, SigningKey
from seller_services import Chunk, Order, Seller, handle_of, load_or_make
from seller_services.handling import Steering
from seller_services.samples import SAMPLES

MANIFEST = SAMPLES["profile-csv"].manifest


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
