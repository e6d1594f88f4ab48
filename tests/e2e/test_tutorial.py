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
