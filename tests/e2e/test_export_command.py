"""``market export``: a table of files, JSON for machines, and a second time only what is new."""

import re
from pathlib import Path

import polars as pl
import pytest

from market.base.settings import Settings
from market.base.store import Store
from tests.e2e.test_commands import Shell, served, shell
from tests.factories import build_town

__all__ = ["served", "shell"]


@pytest.fixture
async def home(sqlite_settings: Settings) -> Path:
    """The home of a market with one sale."""
    store = Store.open(sqlite_settings)
    await (await build_town(store)).settled()
    store.close()
    return sqlite_settings.home


async def test_a_market_is_exported_and_again_when_it_has_grown(
    shell: Shell, home: Path, tmp_path: Path
):
    out = tmp_path / "facts"

    said = await shell.ok("export", str(home), str(out))
    again = await shell.json("export", str(home), str(out))

    [file] = out.glob("events-*.parquet")
    # A long name is folded in its column.
    assert str(file) in "".join(said.split())
    assert again["rows"]["events"] == pl.read_parquet(file).height
    assert again["parts"]["events"][0]["file"] == file.name
    [read] = re.findall(r"([0-9]+) rows were read", said)
    logs = again["rows"]["events"] + again["rows"]["chunks"]
    assert again["read"] <= int(read) - logs


async def test_where_there_is_no_store_nothing_is_written(shell: Shell, tmp_path: Path):
    refused = await shell.run("export", str(tmp_path), str(tmp_path / "facts"))

    assert refused.returncode == 2
    assert "market.db" in refused.stderr.decode()
    assert not (tmp_path / "facts").exists()
