"""Ids rise as text, whatever the clock does, and hold what TypeID and UUIDv7 say."""

import random
import re

import msgspec
import pytest

from market.protocol.ids import ALPHABET, PREFIXES, Ids, OrderId


def ids(milliseconds: int = 1_790_000_000_000, seed: int = 1) -> Ids:
    return Ids(lambda: milliseconds, random.Random(seed))


def number_of(identifier: str) -> int:
    number = 0
    for letter in identifier.partition("_")[2]:
        number = number * 32 + ALPHABET.index(letter)
    return number


def test_ids_of_one_millisecond_rise() -> None:
    source = ids()

    made = [source.new("ord") for _ in range(10_000)]

    assert made == sorted(set(made))


def test_ids_rise_while_the_clock_goes_back() -> None:
    now = [5_000]
    source = Ids(lambda: now[0], random.Random(1))
    first = source.new("ord")
    now[0] = 1_000

    assert source.new("ord") > first


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_id_has_the_form_of_a_type_id(prefix: str) -> None:
    assert re.fullmatch(rf"{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}", ids().new(prefix))


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    number = number_of(ids(milliseconds=1_790_000_000_123).new("ord"))

    assert number >> 80 == 1_790_000_000_123
    assert number >> 76 & 0xF == 7
    assert number >> 62 & 0b11 == 0b10


def test_the_same_seed_and_clock_give_the_same_ids() -> None:
    assert ids(seed=7).new("ord") == ids(seed=7).new("ord")
    assert ids(seed=7).new("ord") != ids(seed=8).new("ord")


@pytest.mark.parametrize(
    "text",
    [
        "ord_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "ord_01h455vb4pex5vsknk084sn02",
        "ord_01h455vb4pex5vsknk084sn02qq",
        "ord_01H455VB4PEX5VSKNK084SN02Q",
        "ord_01h455vb4pex5vsknk084sn02l",
        "svc_01h455vb4pex5vsknk084sn02q",
        "ord_01h455vb4pex5vsknk084sn02q\n",
        "",
    ],
)
def test_what_is_no_order_id_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, OrderId)


def test_an_order_id_passes() -> None:
    assert msgspec.convert("ord_01h455vb4pex5vsknk084sn02q", OrderId)
