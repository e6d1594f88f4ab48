"""Retries of webhooks: later and later, up to a minute, and not all at once."""

import pytest

from market.rawstreams.delivering import retry_seconds


@pytest.mark.parametrize(
    ("tries", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (1_000_000, 60)]
)
def test_a_retry_waits_twice_as_long_as_the_last_up_to_a_minute(tries: int, seconds: int):
    assert retry_seconds(tries, 0.5) == seconds


@pytest.mark.parametrize("tries", [1, 4, 20])
def test_retries_are_spread_by_a_fifth(tries: int):
    base = retry_seconds(tries, 0.5)

    assert retry_seconds(tries, 0.0) == pytest.approx(base * 0.8)
    assert retry_seconds(tries, 1.0) == pytest.approx(base * 1.2)
