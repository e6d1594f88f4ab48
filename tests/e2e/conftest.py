"""A market as a process of its own, for tests that end it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import MarketProcess

GRANT_MINOR = 10**12


@pytest.fixture
def market_process(tmp_path: Path) -> Iterator[MarketProcess]:
    """A market that answers, with a grant for every buyer."""
    home = tmp_path / "market"
    home.mkdir()
    with MarketProcess(home, signup_grant_minor=GRANT_MINOR) as process:
        yield process
