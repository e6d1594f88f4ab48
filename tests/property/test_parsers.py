"""Every parser of outside text: whatever comes, it is read or refused by name, and in bounded time.

Texts are random, or a good one with a few characters changed, taken out, doubled or moved: what
almost fits is what breaks a parser.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from market.base.paging import BadCursor, decode_cursor, encode_cursor
from market.faces.http.call import read_query
from market.faces.http.cursors import Cursors, Start, read_starts
from market.faces.http.problems import InvalidParameter
from market.faces.streams.headers import BadStreamRequest, read_offset, write_offset
from market.protocol.canonical import NotCanonical, canonical
from market.protocol.commitments import ORDER, OrderClaims
from market.protocol.logfile import NotAnEntry, read_line
from market.protocol.manifest import BadManifest, Manifest, check_manifest, read_manifest
from market.protocol.money import EXPONENTS, NotMoney, parse_amount
from market.protocol.signing import BadSignature, SigningKey, read_header, read_payload
from scenarios.engine import BadScenario
from scenarios.engine.expressions import BadExpression
from scenarios.engine.metrics import METRICS, read
from scenarios.engine.reading import load
from tests.factories import manifest

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "seller_services" / "samples").glob("*.toml"))
STORIES = sorted((ROOT / "scenarios").glob("*.toml"))
KEY = SigningKey.from_seed(hashlib.sha256(b"parsers").digest())
ORDERED = {
    "iss": KEY.kid, "aud": "http://market.test", "iat": 1, "quote_id": "qte_" + "0" * 26,
    "quote_digest": "a" * 43, "seller_id": "b" * 43, "amount_minor": 1, "currency": "XTS",
}  # fmt: skip
TOKEN = KEY.sign(ORDERED, typ=ORDER)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)

_NOISE = ["[[", "]]", "{", '"""', "\\", "\x00", "\ufeff", "\u202e", "=", "1e999", "-1", "9" * 400]

bounded = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


@st.composite
def spoilt(draw: Callable[[Any], Any], good: st.SearchStrategy[str]) -> str:
    """A good text with up to five changes."""
    text: str = draw(good)
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        new = draw(st.text(max_size=6) | st.just(text[start:end] * 2) | st.sampled_from(_NOISE))
        text = text[:start] + new + text[end:]
    return text


def outcome(refusal: type[Exception], parse: Callable[..., Any], *given: Any) -> Any:
    """What a parser returns, or how it refuses. Any other end is a failure of the test."""
    try:
        return parse(*given)
    except refusal as error:
        return error


@bounded
@given(st.text(max_size=300) | spoilt(st.sampled_from([path.read_text() for path in SAMPLES])))
@example("a = " + "[" * 5_000)
def test_a_manifest_is_read_or_refused_by_name(text: str) -> None:
    found = outcome(BadManifest, read_manifest, text)

    assert isinstance(found, Manifest) or str(found)


@bounded
@given(st.sampled_from(sorted(manifest())), JSON)
def test_a_manifest_with_any_member_is_read_or_refused_by_name(name: str, value: Any) -> None:
    found = outcome(BadManifest, check_manifest, {**manifest(), name: value})

    assert isinstance(found, Manifest) or str(found)


@bounded
@given(st.text(max_size=300) | spoilt(st.sampled_from([path.read_text() for path in STORIES])))
@example("a = " + "[" * 5_000)
@example("a." * 2_000 + "a = 1")
def test_a_scenario_is_read_or_refused_with_its_line(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    assume(text.encode("utf-8", "ignore").decode() == text)
    path = tmp_path_factory.getbasetemp() / "story.toml"
    path.write_text(text, "utf-8", newline="")
    found = outcome(BadScenario, load, path)

    if isinstance(found, BadScenario):
        places = [trouble.where for trouble in found.troubles]
        assert places
        assert all(re.search(r"story\.toml(:\d+)?$", place) for place in places)


@bounded
@given(
    st.text(max_size=100)
    | spoilt(st.sampled_from([f"{name} == 1 and not {name} > 2" for name in METRICS]))
)
@example("(" * 2_000 + "1" + ")" * 2_000)
@example("not " * 3_000 + "orders.settled == 1")
@example("orders.settled == " + "9" * 20_000)
@example("-" * 5_000 + "1 == orders.settled")
def test_an_expectation_is_read_or_refused_by_name(source: str) -> None:
    found = outcome(BadExpression, read, source)

    assert str(found) if isinstance(found, BadExpression) else found.uses


@bounded
@given(st.text(max_size=400) | spoilt(st.just(TOKEN)))
@example("." * 3)
@example(TOKEN + "=")
@example(TOKEN.replace(".", ".\n"))
def test_a_token_that_was_changed_never_verifies(text: str) -> None:
    assume(text != TOKEN)
    with pytest.raises(BadSignature):
        KEY.public.read(text, typ=ORDER, claims=OrderClaims)
    for read_part in (read_header, read_payload):
        assert outcome(BadSignature, read_part, text) is not None


@bounded
@given(st.text(max_size=60) | spoilt(st.just(encode_cursor(["ord_1", 7]))))
@example("WzFd" * 3_000)
@example("W" * 8_000)
def test_a_cursor_is_one_of_ours_or_refused(text: str) -> None:
    key = outcome(BadCursor, decode_cursor, text, (str, int))

    assert not isinstance(key, list) or [type(part) for part in key] == [str, int]


@given(st.lists(st.text(max_size=20) | st.integers(-(2**53) + 1, 2**53 - 1), min_size=1))
def test_a_cursor_comes_back_as_it_was_made(key: list[Any]) -> None:
    assume(_is_plain(key))

    assert decode_cursor(encode_cursor(key), tuple(map(type, key))) == key


@given(st.text(max_size=40) | spoilt(st.just(write_offset(41).decode())))
@example("-1")
@example("9" * 16 + "_" + "9" * 16)
@example(str(2**70))
@example("\uff10" * 16 + "_" + "0" * 16)
def test_an_offset_is_one_of_ours_or_refused(text: str) -> None:
    offset = outcome(BadStreamRequest, read_offset, text, "offset")

    assert isinstance(offset, BadStreamRequest) or (offset >= 0 and text.isascii())


@given(st.integers(0, 10**16 - 1))
def test_an_offset_comes_back_as_it_was_given_out(offset: int) -> None:
    assert read_offset(write_offset(offset).decode(), "offset") == offset


@given(st.text(max_size=60) | spoilt(st.just("0.41,1.7c")))
@example("0.41," * 2_000)
def test_the_cursor_of_a_feed_is_one_of_its_own_or_refused(text: str) -> None:
    starts = [Start(f"ses_{number:026}", -1) for number in range(2)]
    left = outcome(InvalidParameter, Cursors(starts).resume, text)

    known = {start.session_id for start in starts}
    assert isinstance(left, InvalidParameter) or {start.session_id for start in left} <= known


@given(st.lists(st.text(max_size=40) | spoilt(st.just("ses_" + "0" * 26 + ":7")), max_size=4))
def test_the_sessions_of_a_feed_are_read_or_refused(places: list[str]) -> None:
    starts = outcome(InvalidParameter, read_starts, places)

    assert isinstance(starts, InvalidParameter) or all(start.after >= -1 for start in starts)


@given(st.binary(max_size=120) | spoilt(st.just("a=1&b=%20&c=")).map(str.encode))
def test_a_query_is_read_or_refused(query: bytes) -> None:
    found = outcome(InvalidParameter, read_query, query)

    assert isinstance(found, InvalidParameter) or set(map(type, found.values())) <= {str}


@given(st.text(max_size=40) | spoilt(st.just("0.40")), st.sampled_from(sorted(EXPONENTS)))
@example("1e3", "XTS")
@example("٣", "XTS")
@example("9" * 5_000, "XTS")
def test_an_amount_is_money_or_refused(text: str, currency: str) -> None:
    amount_minor = outcome(NotMoney, parse_amount, text, currency)

    is_plain = re.fullmatch(r"[0-9]+(\.[0-9]+)?", text)
    assert isinstance(amount_minor, NotMoney) or (amount_minor >= 0 and is_plain)


@given(st.binary(max_size=200) | spoilt(st.just('{"offset":0,"hash":"x"}')).map(str.encode))
@example(b"[" * 50_000)
@example(b'{"offset":' + b"9" * 5_000 + b"}")
def test_a_line_of_a_kept_log_is_an_entry_or_refused(line: bytes) -> None:
    with pytest.raises(NotAnEntry):
        read_line(line)


def _is_plain(value: Any) -> bool:
    try:
        canonical(value)
    except NotCanonical:
        return False
    return True
