"""Retry-After: sent where waiting alone helps, and nowhere else."""

import pytest

import market.app  # noqa: F401 - it loads every room, and so every refusal
from market.base.errors import Limited, MarketError, Overloaded, every_refusal
from market.faces.http.problems import refusal_headers

ISSUER = "http://market.test"
LIMITS = [kind for kind in every_refusal(Limited) if kind.status == 429]
BUSY = list(every_refusal(Overloaded))


def named(kind: type[MarketError]) -> str:
    return kind.code


@pytest.mark.parametrize("kind", LIMITS, ids=named)
def test_a_limit_asks_to_wait_only_if_it_says_for_how_long(kind: type[MarketError]):
    assert refusal_headers(kind("Close one first.", limit=5), ISSUER) == ()

    waits = kind("Not so fast.", limit=5, retry_after_seconds=7)
    assert refusal_headers(waits, ISSUER) == ((b"retry-after", b"7"),)


@pytest.mark.parametrize("kind", BUSY, ids=named)
def test_a_busy_market_always_says_when_to_come_back(kind: type[MarketError]):
    assert refusal_headers(kind("Not now."), ISSUER) == ((b"retry-after", b"1"),)
    assert refusal_headers(kind("Not now.", retry_after_seconds=10), ISSUER) == (
        (b"retry-after", b"10"),
    )
