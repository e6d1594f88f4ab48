"""The bar of an export: only on a terminal, only when it takes long, with rate and time left."""

import io

import pytest
from rich.console import Console

from market.cli import bars, rows
from market.cli.rows import Rows


def told_on(console: Console, monkeypatch: pytest.MonkeyPatch, *, patience_seconds: float) -> str:
    monkeypatch.setattr(bars, "stderr", lambda: console)
    monkeypatch.setattr(bars, "PATIENCE_SECONDS", patience_seconds)
    monkeypatch.setattr(rows, "_SHOWN_EVERY_SECONDS", 0.0)
    with Rows("Exporting") as told:
        for done in (0, 250, 500, 1_000):
            told(done, 2_000)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def terminal(*, is_one: bool = True) -> Console:
    return Console(file=io.StringIO(), force_terminal=is_one, width=120)


def test_what_takes_long_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch):
    shown = told_on(terminal(), monkeypatch, patience_seconds=0.0)

    assert "Exporting" in shown
    assert "1,000 of 2,000" in shown


def test_what_is_soon_over_shows_nothing(monkeypatch: pytest.MonkeyPatch):
    assert told_on(terminal(), monkeypatch, patience_seconds=60.0) == ""


def test_a_pipe_hears_nothing(monkeypatch: pytest.MonkeyPatch):
    assert told_on(terminal(is_one=False), monkeypatch, patience_seconds=0.0) == ""
