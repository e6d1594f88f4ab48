"""Canonical JSON is RFC 8785 for every tree, and refuses what has no agreed form."""

import json
import math
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from market.protocol.canonical import MAX_INTEGER, NotCanonical, canonical, digest, sha256_text

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda number: not MAX_INTEGER < abs(number) < 1e21
)
SCALARS = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | FLOATS | TEXT
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=30,
)


@given(TREES)
def test_every_tree_has_the_bytes_that_rfc_8785_gives_it(tree: Any) -> None:
    assert canonical(tree) == rfc8785.dumps(tree)


@given(TREES)
def test_reading_the_bytes_gives_the_tree_and_the_bytes_again(tree: Any) -> None:
    read = json.loads(canonical(tree))

    assert read == tree
    assert canonical(read) == canonical(tree)


@given(st.dictionaries(TEXT, SCALARS, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(members: dict[str, Any], chance: Any) -> None:
    shuffled = list(members.items())
    chance.shuffle(shuffled)

    assert digest(dict(shuffled)) == digest(members)


def test_keys_are_sorted_by_utf_16_unit() -> None:
    # As code points U+FB33 comes first; as UTF-16 units the pair of U+1F600 does.
    assert canonical({"\ufb33": 1, "\U0001f600": 2}).decode() == '{"\U0001f600":2,"\ufb33":1}'


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (0.1, "0.1"),
        (4.5e15, "4500000000000000"),
    ],
)
def test_floats_have_the_form_of_ecmascript(number: float, text: str) -> None:
    assert canonical(number).decode() == text


def test_a_tuple_is_a_list() -> None:
    assert canonical((1, ("a",))) == b'[1,["a"]]'


@pytest.mark.parametrize(
    "value",
    [
        2**53,
        -(2**53),
        2**70,
        2.0**53,
        -5e16,
        9.9e20,
        math.nan,
        math.inf,
        -math.inf,
        "NUL \0",
        "é and NUL \0",
        "lone \ud800",
        b"bytes",
        {1, 2},
        object(),
        {1: "key that is no text"},
        {"\ud800": 1},
        {"\0": 1},
    ],
)
def test_what_has_no_agreed_form_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical(value)


def test_the_largest_integers_pass() -> None:
    assert canonical([2**53 - 1, -(2**53) + 1]) == b"[9007199254740991,-9007199254740991]"


def test_a_refusal_names_the_place() -> None:
    with pytest.raises(NotCanonical, match=r"^\$\.order\.lines\[1\]\.price: nan"):
        canonical({"order": {"lines": [{}, {"price": math.nan}]}})


def test_nesting_has_a_limit() -> None:
    tree: Any = []
    for _ in range(31):
        tree = [tree]
    assert canonical(tree) == b"[" * 32 + b"]" * 32

    with pytest.raises(NotCanonical, match="deeper"):
        canonical([tree])


def test_endless_nesting_is_refused_and_not_a_crash() -> None:
    tree: Any = []
    for _ in range(100_000):
        tree = [tree]

    with pytest.raises(NotCanonical, match="deeper"):
        canonical(tree)


def test_a_digest_is_the_sha_256_of_the_bytes() -> None:
    # SHA-256 of "{}", as every tool computes it.
    assert digest({}) == "RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o"
    assert len(sha256_text(b"")) == 43
