"""Settings that make no sense stop the start, with the variable's name."""

import pytest

from market.base.settings import BadSettings, Settings

SPANS = (
    "MARKET_CONTROL_ANSWER_SECONDS",
    "MARKET_LEASE_SECONDS",
    "MARKET_PAUSE_SECONDS",
    "MARKET_PRESENCE_SECONDS",
)


@pytest.mark.parametrize("variable", SPANS)
@pytest.mark.parametrize("text", ["0", "-1"])
def test_a_span_of_time_is_at_least_a_second(variable: str, text: str):
    with pytest.raises(BadSettings, match=variable):
        Settings.from_env({variable: text})


@pytest.mark.parametrize("variable", SPANS)
def test_a_span_of_a_second_is_taken(variable: str):
    settings = Settings.from_env({variable: "1"})

    assert getattr(settings, variable.removeprefix("MARKET_").lower()) == 1
