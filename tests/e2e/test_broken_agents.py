"""Code of a story's own that breaks: its agent leaves, the run goes on, and then it is told."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from scenarios.engine import BadScenario
from scenarios.engine.play import run
from scenarios.engine.reading import load
from scenarios.engine.telling import Broke, News
from tests.processes import COMMAND

CODE = """\
from anyio import create_task_group
from buyer_agents import Weighing
from seller_services.pricing import Conduct


class Careless(Weighing):
    def parts(self, candidate, lowest_minor, experience):
        return {"price": 1.0}

    def trusts(self, report, need):
        return report.no_such_member


class Late(Careless):
    def trusts(self, report, need):
        return "allow"

    def judge(self, outputs, need):
        raise ValueError(f"chunk of {need.query}")


class Both(Careless):
    async def trusts(self, report, need):
        async with create_task_group() as group:
            group.start_soon(self.fails)
            raise KeyError("first")

    async def fails(self):
        raise OSError("second")


class Wrong(Careless):
    def rank(self, candidates, need, memory):
        return 5


class Quits(Careless):
    def trusts(self, report, need):
        raise SystemExit(0)


class Bankrupt(Conduct, frozen=True, kw_only=True):
    def joins(self, seller):
        return seller.with_pricing(lambda sales: 100 // sales.sold, every_seconds=60.0)


class Overwhelmed(Conduct, frozen=True, kw_only=True):
    def joins(self, seller):
        return seller.with_pricing(self.look, every_seconds=20.0)

    def look(self, sales):
        if sales.sold:
            raise RuntimeError("too much work")
        return 100
"""
STORY = """\
scenario = 1
name = "shop"
seed = 5
[market]
clock = { mode = "virtual", until = "30m" }
[[sellers]]
name = "clerk"
service = "convert-units"
[[sellers]]
name = "other"
service = "convert-units"
price = "0.5"
[[buyers]]
name = "mine"
count = 2
wallet = "1.00"
policy = "POLICY"
[buyers.need]
query = "convert units"
input = { items = [{ value = "1", from = "mile", to = "metre" }] }
[[buyers]]
name = "sober"
wallet = "1.00"
arrive = { at = "10m" }
[buyers.need]
query = "convert units"
input = { items = [{ value = "1", from = "mile", to = "metre" }] }
[[expect]]
that = "outcome(agent='sober') == 'bought'"
"""


def story(folder: Path, policy: str, seller: str = "") -> Path:
    module = f"mine_{folder.name.replace('-', '_')}"
    (folder / f"{module}.py").write_text(CODE)
    path = folder / "shop.toml"
    text = STORY.replace("POLICY", f"{module}:{policy}" if policy else "cheapest")
    if seller:
        text = text.replace('price = "0.5"\n', f'price = "0.5"\nbehaviour = "{module}:{seller}"\n')
    path.write_text(text)
    return path


def market(folder: Path, *args: object) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "NO_COLOR": "1"}
    words = [COMMAND, *map(str, args)]
    return subprocess.run(
        words, capture_output=True, text=True, env=environ, cwd=folder, timeout=120
    )


@pytest.mark.parametrize(
    ("policy", "line", "what", "stage"),
    [
        ("Careless", 11, "AttributeError: 'TrustView' object has no attribute 'no_s", "trust_che"),
        ("Late", 19, "ValueError: chunk of convert units", "using"),
        ("Wrong", 32, "WrongReturn: ", "finding"),
        ("Quits", 39, "SystemExit: 0", "trust_checking"),
    ],
)
async def test_a_buyer_whose_policy_breaks_leaves_with_the_reason_and_nobody_else_does(
    tmp_path: Path, policy: str, line: int, what: str, stage: str
) -> None:
    path = story(tmp_path, policy)
    broken: list[Broke] = []

    def note(news: News) -> None:
        if isinstance(news, Broke):
            broken.append(news)

    with pytest.raises(BadScenario) as caught:
        await run(load(path), folder=tmp_path / "run", tell=note)

    [trouble] = caught.value.troubles
    assert trouble.where == f"{path}:17"
    assert "mine-1 and 1 more broke at " in trouble.detail
    assert f".py:{line}: {what}" in trouble.detail
    assert trouble.hint == ""
    assert [one.agent for one in broken] == ["mine-1", "mine-2"]

    kept = json.loads((tmp_path / "run" / "run.json").read_text())
    first, second, sober = kept["journeys"]
    assert sober["outcome"] == "bought"
    for journey in (first, second):
        assert journey["outcome"] == "left"
        last = journey["stages"][-1]
        assert last["stage"].startswith(stage)
        assert last["reason"] == "other"
        assert last["detail"].startswith(f"its own code broke: {what}")
    assert kept["findings"] == []
    assert kept["troubles"] == [trouble._asdict()]
    assert kept["is_over"] is True
    assert (tmp_path / "run" / "market.db").is_file()


async def test_of_several_errors_each_is_told(tmp_path: Path) -> None:
    path = story(tmp_path, "Both")

    with pytest.raises(BadScenario) as caught:
        await run(load(path), folder=tmp_path / "run")

    assert len(caught.value.troubles) == 2
    assert "KeyError: 'first'" in caught.value.troubles[0].detail
    assert "OSError: second" in caught.value.troubles[1].detail


async def test_a_seller_whose_behaviour_breaks_is_gone_and_the_market_goes_on(
    tmp_path: Path,
) -> None:
    path = story(tmp_path, "", seller="Bankrupt")

    with pytest.raises(BadScenario) as caught:
        await run(load(path), folder=tmp_path / "run")

    [trouble] = caught.value.troubles
    assert trouble.where == f"{path}:13"
    assert "other broke at" in trouble.detail
    assert "py:44: ZeroDivisionError" in trouble.detail
    kept = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [one["outcome"] for one in kept["journeys"]] == ["bought"] * 3


async def test_a_seller_that_breaks_at_work_gives_its_orders_up_with_the_reason(
    tmp_path: Path,
) -> None:
    path = story(tmp_path, "", seller="Overwhelmed")
    text = path.read_text()
    first = text.index("[[sellers]]")
    text = text[:first] + text[text.index("[[sellers]]", first + 1) :]
    path.write_text(
        text.replace('price = "0.5"', 'price = "0.5"\npace = "1m"\ndeliver_within = "10m"')
    )

    with pytest.raises(BadScenario) as caught:
        await run(load(path), folder=tmp_path / "run")

    assert any("other broke at" in one.detail for one in caught.value.troubles)
    kept = json.loads((tmp_path / "run" / "run.json").read_text())
    journeys = [one for one in kept["journeys"] if one["buyer"].startswith("mine")]
    assert [one["outcome"] for one in journeys] == ["failed", "failed"]
    for journey in journeys:
        assert (
            "the seller's own code broke: RuntimeError: too much work"
            in journey["stages"][-1]["detail"]
        )
        [order] = journey["orders"]
        assert (order["state"], order["returned_minor"]) == ("failed", order["held_minor"])
    [seller] = kept["sellers"]
    assert (seller["name"], seller["sold"], seller["failed"]) == ("other", 0, 2)


def test_the_command_tells_what_happened_and_then_what_broke(tmp_path: Path) -> None:
    path = story(tmp_path, "Careless")

    played = market(tmp_path, "run", path, "-q")
    listed = market(tmp_path, "runs", "list")
    again = market(tmp_path, "run", "--resume", "runs/shop-1")

    assert played.returncode == 2
    assert "mine-1 left at Trust" in played.stdout
    assert "outcome(agent='sober') = 'bought'" in played.stdout
    [line] = [one for one in played.stderr.splitlines() if one.startswith("market: ")]
    code = next(tmp_path.glob("mine_*.py")).name
    assert f"{path}:17: mine-1 and 1 more broke at {code}:11: AttributeError: " in line
    assert "Traceback" not in played.stderr
    log = (tmp_path / "runs" / "shop-1" / "log.jsonl").read_text()
    assert log.count("Traceback (most recent call last)") == 2
    assert "shop-1  shop      5  0 of 1, 1 bad         3  1 of 1  bad" in listed.stdout
    assert (again.returncode, again.stdout) == (2, played.stdout), "it was over, and is told again"


def test_in_a_sweep_the_run_is_bad_and_not_played_again(tmp_path: Path) -> None:
    path = story(tmp_path, "Careless")

    played = market(tmp_path, "run", path, "-q", "--replicas", 2, "--jobs", 1)

    assert played.returncode == 2
    sweep = json.loads((tmp_path / "runs" / "shop-1" / "sweep.json").read_text())
    [cell] = sweep["cells"]
    assert [one["state"] for one in cell["replicas"]] == ["bad", "bad"]
    assert all("AttributeError: 'TrustView'" in one["detail"] for one in cell["replicas"])
    assert "--resume" not in played.stderr
    outcome = json.loads((tmp_path / "runs/shop-1/cell-001/replica-1.json").read_text())
    assert outcome["journeys"] == {"bought": 1, "left": 2}


def test_a_bug_of_the_program_itself_ends_with_70(tmp_path: Path) -> None:
    path = story(tmp_path, "")
    breaks = "import scenarios.engine.play as play\nplay.prove = None\n"
    (tmp_path / "sitecustomize.py").write_text(breaks)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    words = [COMMAND, "run", str(path), "-q"]

    def played(*more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*words, *more], capture_output=True, text=True, env=environ, cwd=tmp_path, timeout=120
        )

    single, swept = played(), played("--replicas", "2", "--jobs", "1")

    assert single.returncode == 70
    assert "TypeError: 'NoneType' object is not callable" in single.stderr
    assert single.stderr.endswith("market: this is a bug of this program, and no answer\n")
    assert swept.returncode == 70
    assert "a bug of this program: " in swept.stdout
    assert "py:" in swept.stdout
    log = tmp_path / "runs" / "shop-2" / "cell-001" / "replica-1" / "log.jsonl"
    assert "Traceback" in log.read_text()


def test_a_file_beside_a_story_is_not_taken_for_a_library(tmp_path: Path) -> None:
    # httpx looks for this one when it is loaded, and does without.
    (tmp_path / "h2.py").write_text("raise RuntimeError('not the library')\n")
    path = story(tmp_path, "Late")
    text = CODE.replace(
        'raise ValueError(f"chunk of {need.query}")', "return super().judge(outputs, need)"
    )
    next(tmp_path.glob("mine_*.py")).write_text(text)

    single = market(tmp_path, "run", path, "-q")
    swept = market(tmp_path, "run", path, "-q", "--replicas", 2)

    assert (single.returncode, swept.returncode) == (0, 0), single.stderr + swept.stderr
