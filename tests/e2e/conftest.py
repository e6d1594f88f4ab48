"""A market and its seller as processes of their own, for tests that end them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.processes import MarketProcess, Process

HERE = Path(__file__).parent
GRANT_MINOR = 10**12


@pytest.fixture(autouse=True)
def plain_log() -> None:
    """The log of this process as it is at first: a command that ran here may have quieted it."""
    structlog.reset_defaults()


@pytest.fixture
def market_process(tmp_path: Path) -> Iterator[MarketProcess]:
    """A market that answers, with a grant for every buyer."""
    home = tmp_path / "market"
    home.mkdir()
    with MarketProcess(home, signup_grant_minor=GRANT_MINOR) as process:
        yield process


@pytest.fixture
def seller_process(market_process: MarketProcess, tmp_path: Path) -> Iterator[Process]:
    """A seller of that market, which reads pages."""
    command = [sys.executable, "-m", "tests.e2e.page_seller", str(HERE / "pages.toml")]
    with Process(
        [*command, str(tmp_path / "rows.key"), market_process.url], log=tmp_path / "seller.log"
    ) as process:
        yield process
