"""Fixtures of unit tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from market.cli import main
from tests.shell import Market, Said


@pytest.fixture
def market(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Market]:
    """The command line, as the shell runs it, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("MARKET_URL", "MARKET_KEY", "MARKET_HOME"):
        monkeypatch.delenv(name, raising=False)

    def run(*args: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["market", *args])
        with pytest.raises(SystemExit) as caught:
            main()
        code = caught.value.code
        return Said(*capsys.readouterr(), code if isinstance(code, int) else 0)

    yield run
    # A command quiets the log of its whole process.
    structlog.reset_defaults()
