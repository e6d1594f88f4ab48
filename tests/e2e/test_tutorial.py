"""The tutorial's file is a scenario that runs, and its script tells of any run."""

import re
import subprocess
import sys
from pathlib import Path

from scenarios.engine.play import run
from scenarios.engine.reading import load
from tests.processes import ROOT

PAGE = ROOT / "docs" / "tutorial.md"
SCRIPT = ROOT / "docs" / "tutorial_polars.py"


def file_of_the_page(tmp_path: Path) -> Path:
    [text] = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    file = tmp_path / "survivors.toml"
    file.write_text(text)
    return file


async def test_the_tutorials_story_runs_and_its_script_tells_of_it(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()

    result = await run(load(file_of_the_page(tmp_path), scale="0.2"), folder=folder)
    told = subprocess.run(  # noqa: ASYNC221 - nothing else goes on
        [sys.executable, str(SCRIPT), str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )

    assert result.exit_code == 0
    assert [len(result.journeys), result.is_over] == [6, True]
    assert told.returncode == 0, told.stderr
    assert "each in balance" in told.stdout
    assert "cheap" in told.stdout


def test_the_page_shows_the_tables_that_its_script_prints():
    """The columns are the script's; the figures are those of one run of eight."""
    shown = PAGE.read_text("utf-8").partition("$ python tutorial_polars.py")[2].partition("```")[0]
    heads = [line.split() for line in shown.splitlines() if line.startswith("│ slug")]
    named = set(re.findall(r"^ *(?:\.agg\()?(\w+)=", SCRIPT.read_text("utf-8"), re.MULTILINE))

    assert len(heads) == 4
    for word in ("orders", "paid_minor", "failures", "earned", "not_earned", "back_in_wallets"):
        assert any(word in head for head in heads)
    assert {"failures", "earned", "not_earned", "back_in_wallets"} <= named


def test_the_commands_of_the_page_name_what_is_there():
    page = PAGE.read_text("utf-8")

    for path in re.findall(r"\$ROOT/(docs/\S+)", page):
        assert (ROOT / path).is_file()
    [run_of_the_page] = set(re.findall(r"tutorial_polars.py (runs/\S+)", page))
    assert f'"{run_of_the_page}"' in SCRIPT.read_text("utf-8")
