"""The gateway before it meets a market: what it signs, whom it calls, when it leaves one alone."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from market.protocol.manifest import BadManifest, check_manifest
from market.protocol.signing import SigningKey
from seller_services import BadCall, CannotDeliver, Gateway, check_call
from seller_services.breaking import FAILURES, REST_SECONDS, Breaker, EndpointFailed, Resting
from seller_services.calls import CALL, headers_of
from seller_services.gateway import MAX_LINE, BadStream, lines_of
from tests.endpoints import Endpoint, reading_well
from tests.money import ORDER
from tests.unit.test_manifest import tree
from tests.unit.test_outgoing import INSIDE, ODD, PUBLIC, Names, bracketed
from tests.unit.test_samples import order_of as sample_order

KEY = SigningKey.generate()
AN_ORDER = sample_order("convert-units", {})
URL = "https://work.example.com/tables"
BODY = b'{"order_id":"it"}'
NOW = 1_800_000_000
INNER = ("127.0.0.77", 8443)


def signature(*, body: bytes = BODY, key: SigningKey = KEY, endpoint: str = URL) -> str:
    return headers_of(key, endpoint=endpoint, order_id=ORDER, from_chunk=0, body=body, now=NOW)[
        "Market-Signature"
    ]


def check(token: str, *, body: bytes = BODY, now: float = NOW) -> Any:
    return check_call(token, body, key=KEY.public, endpoint=URL, now=now)


def test_an_endpoint_can_tell_its_sellers_own_call():
    claims = check(signature())

    assert (claims.order_id, claims.aud, claims.iss) == (ORDER, URL, KEY.kid)


@pytest.mark.parametrize(
    ("token", "changes"),
    [
        (signature(key=SigningKey.generate()), {}),
        (signature(endpoint="https://other.example.com/"), {}),
        (signature(body=b"{}"), {}),
        (signature(), {"body": BODY + b" "}),
        (signature(), {"now": NOW + 331}),
        (signature(), {"now": NOW - 31}),
        (signature()[:-4] + "AAAA", {}),
        (KEY.sign({"order_id": ORDER}, typ=CALL), {}),
        (KEY.sign({"order_id": ORDER}, typ="order+jwt"), {}),
        ("", {}),
    ],
)
def test_any_other_call_is_refused(token: str, changes: Any):
    """S12: another key, endpoint, body or time; unsigned; signed for something else."""
    with pytest.raises(BadCall):
        check(token, **changes)


@pytest.mark.parametrize(
    "url", [*ODD[:-3], *(f"https://{bracketed(address)}/" for address in INSIDE)]
)
def test_a_manifest_whose_endpoint_has_another_form_is_wrong(url: str):
    """S1, S4: in the SDK, before anything is published."""
    with pytest.raises(BadManifest, match=r"endpoint|length"):
        check_manifest(tree(endpoint=url))


@pytest.mark.parametrize("url", [URL, "https://a.example.com:8443/x?y=z", "http://127.0.0.1:9/"])
def test_a_manifest_may_name_an_endpoint(url: str):
    assert check_manifest(tree(endpoint=url)).endpoint == url


async def call(url: str, *answers: list[str]) -> None:
    """Let a gateway that is not in development work on an order."""
    manifest = check_manifest(tree(endpoint=url))
    gateway = Gateway(manifest, KEY, resolve=Names(*answers or ([PUBLIC],)))
    async for _ in gateway.deliver(AN_ORDER):
        raise AssertionError("nothing is there")


@pytest.mark.parametrize(
    ("url", "answers"),
    [
        ("https://inner.example.com:8443/", [[INNER[0]]]),
        ("https://inner.example.com:8443/", [[PUBLIC, INNER[0]]]),
        ("https://inner.example.com:8443/", [["::ffff:127.0.0.77"]]),
        ("https://inner.example.com:8443/", [["64:ff9b::7f00:4d"]]),
        ("http://127.0.0.77:8443/", []),
        ("http://localhost:8443/", [[INNER[0]]]),
    ],
)
async def test_nobody_inside_is_connected_to(url: str, answers: list[list[str]]):
    """S1, S2: a listener inside counts its connections, and there are none."""
    async with Endpoint(reading_well, *INNER) as inner:
        with pytest.raises(EndpointFailed):
            await call(url, *answers)

        assert inner.connections == 0


async def test_a_name_that_turns_inside_is_not_connected_to():
    """S2: DNS rebinding; each call asks anew, and dials what it was told."""
    names = Names([], [INNER[0]])
    manifest = check_manifest(tree(endpoint="https://inner.example.com:8443/"))
    gateway = Gateway(manifest, KEY, resolve=names)
    async with Endpoint(reading_well, *INNER) as inner:
        for _ in range(2):
            with pytest.raises(EndpointFailed):
                await anext(gateway.deliver(AN_ORDER))

        assert (inner.connections, len(names.asked)) == (0, 2)


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def broken(time: Time) -> Breaker:
    """A breaker that has seen too much."""
    breaker = Breaker(time)
    for _ in range(FAILURES):
        fail(breaker)
    return breaker


def fail(breaker: Breaker) -> None:
    with pytest.raises(EndpointFailed), breaker.attempt():
        raise EndpointFailed("no")


def test_failures_in_a_row_let_an_endpoint_rest(broken: Breaker, time: Time):
    """S18."""
    with pytest.raises(Resting, match="5 times"), broken.attempt():
        raise AssertionError("it is called")

    time.now = REST_SECONDS
    with broken.attempt():
        pass
    with broken.attempt(), broken.attempt():
        pass


def test_after_its_rest_one_order_tries_and_the_others_are_told(broken: Breaker, time: Time):
    """S18: half open; a trial that fails lets it rest again, one that is left says nothing."""
    time.now = REST_SECONDS
    with broken.attempt(), pytest.raises(Resting), broken.attempt():
        raise AssertionError("two try")

    for _ in range(FAILURES):
        fail(broken)
    time.now += REST_SECONDS
    fail(broken)
    with pytest.raises(Resting), broken.attempt():
        raise AssertionError("it is called")

    time.now += REST_SECONDS
    trial = left(broken)
    next(trial)
    trial.close()
    with broken.attempt():
        pass


def left(breaker: Breaker) -> Iterator[None]:
    with breaker.attempt():
        yield


def test_giving_an_order_up_is_no_failure_of_the_endpoint(time: Time):
    """S18: a buyer with odd orders shuts nobody out."""
    breaker = Breaker(time)
    for _ in range(2 * FAILURES):
        with pytest.raises(CannotDeliver), breaker.attempt():
            raise CannotDeliver("no ink")


async def lines(*parts: bytes) -> list[bytes]:
    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return [line async for line in lines_of(body())]


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b\r\n\r\n", b"\n", b"c\n"], [b"ab\r", b"c"]),
        ([b""], []),
        ([], []),
    ],
)
async def test_lines_come_whole_however_they_are_cut(parts: list[bytes], whole: list[bytes]):
    assert await lines(*parts) == whole


@pytest.mark.parametrize(
    "parts", [[b"a"], [b"a\nb"], [b"x" * MAX_LINE, b"x"], [b"x" * MAX_LINE * 2]]
)
async def test_a_line_without_end_is_refused(parts: list[bytes]):
    """S6, S7."""
    with pytest.raises(BadStream):
        await lines(*parts)
