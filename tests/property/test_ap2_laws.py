"""Laws of AP2's parsers and of its matching: random bytes, altered chains, brute force."""

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.protocol import ap2, sdjwt
from market.protocol.ap2 import Ap2Error
from market.protocol.disclosing import BadChain
from market.protocol.matching import Place, all_fit
from market.protocol.signing import VerifyingKey
from tests import ap2_by_hand as hand

USER, AGENT = hand.key(1), hand.key(2)
KEY = VerifyingKey(hand.public(USER))
CHAIN = hand.hop(hand.open_payment(USER, AGENT), hand.closed_payment(), AGENT)
PIECES = string.ascii_letters + string.digits + "-_.~"
KINDS = ("A", "B", "C")


def is_read(text: str) -> bool:
    """Whether a chain is taken; nothing but the one refusal may come instead."""
    try:
        sdjwt.read_chain(text, key=KEY, aud=hand.AUDIENCE, nonce=hand.NONCE, now=hand.NOW)
    except BadChain:
        return False
    return True


def test_the_chain_that_is_altered_below_is_a_good_one():
    assert is_read(CHAIN)


@given(st.one_of(st.text(max_size=200), st.text(PIECES, max_size=400)))
def test_text_from_anywhere_is_refused_and_nothing_worse(text: str):
    assert not is_read(text)
    for read in (
        lambda: ap2.read_open(text, key=KEY, now=hand.NOW, form=ap2.OpenPayment),
        lambda: ap2.read_checkout(text, key=KEY, issuer="u", now=hand.NOW),
    ):
        with pytest.raises(Ap2Error):
            read()


@given(at=st.integers(0, len(CHAIN) - 1), letter=st.sampled_from(PIECES))
@settings(max_examples=400, deadline=None)
def test_no_letter_of_a_chain_can_be_another(at: int, letter: str):
    altered = CHAIN[:at] + letter + CHAIN[at + 1 :]

    assert is_read(altered) == (altered == CHAIN)


@given(
    cut=st.tuples(st.integers(0, len(CHAIN)), st.integers(0, len(CHAIN))),
    put=st.text(PIECES, max_size=8),
)
@settings(max_examples=300, deadline=None)
def test_nothing_can_be_taken_out_of_a_chain_or_put_in(cut: tuple[int, int], put: str):
    start, end = sorted(cut)
    altered = CHAIN[:start] + put + CHAIN[end:]

    assert is_read(altered) == (altered == CHAIN)


@given(parts=st.lists(st.sampled_from(CHAIN.replace("~", " ").split()), max_size=9), data=st.data())
@settings(max_examples=200, deadline=None)
def test_its_parts_in_another_order_are_no_chain(parts: list[str], data: st.DataObject):
    joins = data.draw(st.lists(st.sampled_from(["~", "~~"]), min_size=len(parts)))
    altered = "".join(part + join for part, join in zip(parts, joins, strict=False))

    assert is_read(altered) == (altered == CHAIN)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["_sd", "...", "_sd_alg", "cnf", "jwk"]), st.text(max_size=4)
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(mandate=JSON, claims=st.dictionaries(st.sampled_from(["exp", "iat", "_sd", "cnf"]), JSON))
@settings(max_examples=200, deadline=None)
def test_signed_nonsense_is_refused_and_nothing_worse(mandate: object, claims: dict[str, object]):
    try:
        text = hand.token(mandate, USER, **claims)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return  # PyJWT itself refuses to sign it
    try:
        ap2.read_open(text, key=KEY, now=hand.NOW, form=ap2.OpenPayment)
    except Ap2Error:
        return
    raise AssertionError("no such tree is an open mandate")


def by_force(pieces: dict[str, int], places: list[Place]) -> bool:
    """Whether all pieces fit, by trying every place for each single one."""
    single = [kind for kind, count in pieces.items() for _ in range(count)]

    def rest(at: int, room: list[int]) -> bool:
        if at == len(single):
            return True
        for index, place in enumerate(places):
            if room[index] and single[at] in place.kinds:
                left = [*room]
                left[index] -= 1
                if rest(at + 1, left):
                    return True
        return False

    return rest(0, [place.room for place in places])


@given(
    pieces=st.dictionaries(st.sampled_from(KINDS), st.integers(1, 3), max_size=3),
    places=st.lists(
        st.builds(Place, st.frozensets(st.sampled_from(KINDS)), st.integers(0, 3)), max_size=4
    ),
)
@settings(max_examples=500, deadline=None)
def test_matching_finds_what_trying_everything_finds(pieces: dict[str, int], places: list[Place]):
    assert all_fit(pieces, places) == by_force(pieces, places)


def test_matching_many_kinds_and_places_takes_no_time_that_matters():
    """D4: the largest that a mandate can ask for."""
    chance = random.Random(7)
    kinds = [str(number) for number in range(50)]
    places = [Place(frozenset(chance.sample(kinds, 10)), 2**40) for _ in range(50)]

    assert all_fit(dict.fromkeys(kinds, 2**39), places) in (True, False)
