"""Sweeps on the command line: what is planned, refused, told on the way, and printed at the end."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace

from market.cli.sweepprogress import SweepProgress
from market.cli.sweepreport import print_sweep
from scenarios.engine import Scenario
from scenarios.engine.form import BuyerPart, NeedPart
from scenarios.engine.outcomes import Outcome, result_of
from scenarios.engine.overriding import read_override
from scenarios.engine.reading import load
from scenarios.engine.result import ExpectationResult
from scenarios.engine.seeds import seed_of
from scenarios.engine.sweepfiles import keep_sweep
from scenarios.engine.sweeping import Options, Sweep, plan, read_options
from tests.shell import Market

ROOT = Path(__file__).parents[2]
STORY = str(ROOT / "scenarios" / "poor_wallet.toml")
PAGE = (ROOT / "docs" / "scenarios.md").read_text("utf-8")
TINY = Scenario(
    scenario=1,
    name="tiny",
    buyers=[BuyerPart(name="walker", need=NeedPart(query="convert units", input={}))],
)


def sweep() -> Sweep:
    options = read_options(matrix=["market.fee_basis_points=0,150"], replicas=2)
    return plan([TINY, TINY], options, scenario="tiny.toml", digest="d")


def outcome(
    found: str, *, passed: bool = True, captured: str = "1.5", findings: tuple[str, ...] = ()
) -> Outcome:
    expectation = ExpectationResult(
        title="sales",
        that="orders.settled >= 3",
        status="passed" if passed else "failed",
        observed={"orders.settled": found, "reason(agent='a')": "'price'"},
        where="tiny.toml:3",
    )
    return Outcome(
        seed=0,
        state="done",
        exit_code=0 if passed else 1,
        seconds=2.0,
        events=40,
        currency="XTS",
        journeys={"bought": int(found), "left": 1, "failed": 2},
        captured=captured,
        expectations=[expectation],
        findings=list(findings),
    )


def printed(capsys: pytest.CaptureFixture[str], played: Sweep, outcomes: dict[str, Outcome]) -> str:
    found = {run: (one.state, one.detail) for run, one in outcomes.items()}
    print_sweep(result_of(played.found(found), outcomes, Path("runs/tiny-1")))
    return capsys.readouterr().out


def test_a_check_says_what_a_matrix_would_play(market: Market) -> None:
    said = market(
        *("check", STORY, "--matrix", "market.fee_basis_points=0,150", "--replicas", "5"),
        *("--set", "buyers.poor.wallet=0.10"),
    )

    assert said.exit_code == 0
    assert "best-value with 0.10 XTS: " in said.out
    assert "poor-wallet would play 2 cells, 10 runs" in said.out
    seeds = ", ".join(str(seed_of(3, replica)) for replica in (1, 2, 3))
    assert re.search(rf"2 +150 +{seeds} and 2 more", said.out)
    assert said.err == (
        f"Next: market run {STORY} --replicas 5 --set buyers.poor.wallet=0.10"
        " --matrix market.fee_basis_points=0,150\n"
    )


def test_a_check_prints_the_plan_of_a_sweep_for_machines(market: Market) -> None:
    said = market("check", STORY, "--matrix", "market.fee_basis_points=0,150", "--json")

    plan = json.loads(said.out)
    assert [cell["overrides"] for cell in plan["cells"]] == [
        {"market.fee_basis_points": "0"},
        {"market.fee_basis_points": "150"},
    ]
    assert plan["cells"][1]["replicas"][0] == {
        "number": 1,
        "seed": 3,
        "folder": "cell-002/replica-1",
        "state": "planned",
        "detail": "",
    }


def test_every_cell_is_checked_before_the_first_is_played(market: Market, tmp_path: Path) -> None:
    said = market("run", STORY, "--matrix", "market.fee_basis_points=0,20_000,none")

    assert (said.out, said.exit_code) == ("", 2)
    assert said.err.splitlines() == [
        "market: --matrix market.fee_basis_points=20_000: market.fee_basis_points: expected `int`"
        " <= 10000",
        "market: --matrix market.fee_basis_points=none: market.fee_basis_points: expected `int`,"
        " got `str`",
    ]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "Missing argument 'SCENARIOS...'."),
        ((STORY, STORY, "--resume", "."), "--resume goes on with one scenario."),
        (("--resume", ".", "--out", "x"), "--out does not go with --resume."),
        (("--resume", ".", "--no-keep"), "--keep does not go with --resume."),
        (("--resume", "."), "there is no sweep.json in ."),
        ((STORY, "--scale", "0"), "'0' is no number above 0"),
        ((STORY, "--scale", "NaN"), "'NaN' is no number above 0"),
        ((STORY, "--replicas", "0"), "0 is not in the range"),
        ((STORY, "--set", "seed"), "--set seed: it is written path=value"),
    ],
)
def test_what_makes_no_sense_is_refused(market: Market, args: tuple[str, ...], said: str) -> None:
    refused = market("run", *args)

    assert (refused.out, refused.exit_code) == ("", 2)
    assert said in refused.err


def test_a_sweep_of_another_text_is_refused(market: Market, tmp_path: Path) -> None:
    keep_sweep(tmp_path, plan([TINY], Options(replicas=2), scenario=STORY, digest="other"))

    refused = market("run", "--resume", str(tmp_path), "--seed", "9", "--json")

    assert refused.exit_code == 2
    error = json.loads(refused.err)["error"]
    assert error["code"] == "sweep_changed"
    assert "poor_wallet.toml has changed since; --seed 9 was not given" in error["detail"]


def test_a_plan_that_this_program_would_not_make_is_refused(market: Market, tmp_path: Path) -> None:
    digest = load(Path(STORY)).digest
    keep_sweep(tmp_path, plan([TINY], Options(replicas=2), scenario=STORY, digest=digest))

    refused = market("run", "--resume", str(tmp_path))

    assert refused.exit_code == 2
    assert "this version of the program plans it otherwise" in refused.err


def test_a_whole_sweep_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    runs = [one.folder for _, one in sweep().runs()]
    outcomes = dict(
        zip(
            runs,
            [outcome("3"), outcome("3"), outcome("5"), outcome("1", passed=False)],
            strict=True,
        )
    )

    assert printed(capsys, sweep(), outcomes).splitlines() == [
        "tiny   2 cells, 4 runs, 4 done",
        "",
        "Expectations   market.fee_basis_points=0",
        "✓ sales   2 of 2",
        "    orders.settled = 3 / 4 / 5, reason(agent='a') = 'price'",
        "",
        "Expectations   market.fee_basis_points=150",
        "✗ sales   1 of 2",
        "    orders.settled >= 3   (tiny.toml:3)",
        "    orders.settled = 1 / 2 / 3, reason(agent='a') = 'price'",
        "",
        "Cell  market.fee_basis_points    Done  Expectations met     Bought  Left  Failed"
        "  Captured XTS",
        "1     0                        2 of 2            2 of 2  3 / 4 / 5     1       2"
        "          1.50",
        "2     150                      2 of 2            1 of 2  1 / 2 / 3     1       2"
        "          1.50",
        "Of several runs: least / median / most.",
    ]


def test_a_run_that_tested_nothing_is_in_no_figure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    runs = [one.folder for _, one in sweep().runs()]
    bad = replace(outcome("9", captured="99"), state="bad", detail="a fault never happened")
    outcomes = dict(zip(runs, [outcome("3"), outcome("3"), bad, outcome("1")], strict=True))

    out = printed(capsys, sweep(), outcomes)

    assert re.search(r"1 +0 +1 of 2 +1 of 1 +3 +1 +2 +1\.50\n", out)
    assert out.endswith(
        "1 of 4 runs tested nothing and is left out of every figure: a fault never happened.\n"
    )


def test_a_partial_sweep_says_what_became_of_the_rest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    played = sweep().moved("cell-002/replica-1", "died", "its process was killed by SIGKILL")
    broken = outcome("3", findings=("the ledger is out by 1",))

    out = printed(capsys, played, {"cell-001/replica-1": broken})

    assert "tiny   2 cells, 4 runs, 1 done   partial\n" in out
    assert "✗ broken in runs/tiny-1/cell-001/replica-1: the ledger is out by 1\n" in out
    assert "✗ runs/tiny-1/cell-002/replica-1: lost: its process was killed by SIGKILL\n" in out
    assert "Expectations   market.fee_basis_points=150\n  none were judged\n" in out
    assert out.endswith("● this is partial: 3 of 4 runs are left to be played\n")


def test_what_is_over_is_counted_on_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    resumed = sweep().moved("cell-001/replica-1", "done")

    with SweepProgress(resumed, is_quiet=False) as progress:
        progress.ended("cell-002/replica-1", outcome("1", passed=False))
        progress.died("cell-001/replica-2", "its process ended with exit code 1")

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(
        "✗ market.fee_basis_points=150, replica 1: 40 events in 2.0 s, 0 of 1 expectations met"
        "   2 of 4 runs, "
    )
    assert first.endswith(" left")
    assert second.startswith(
        "✗ market.fee_basis_points=0, replica 2: its process ended with exit code 1   2 of 4 runs"
    )


def test_a_quiet_sweep_says_nothing_on_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    with SweepProgress(sweep(), is_quiet=True) as progress:
        progress.began()
        progress.ended("cell-002/replica-1", outcome("3"))

    assert capsys.readouterr().err == ""


def test_the_manual_s_example_can_be_played_with_every_value_that_it_names(tmp_path: Path) -> None:
    [text] = re.findall(r"```toml\n(scenario = 1.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "explorers.toml"
    path.write_text(text)
    commands = re.findall(r"^market (?:run|check) explorers.toml.*", PAGE, re.MULTILINE)
    words = [shlex.split(command, comments=True) for command in commands]
    sets = [[one[at + 1] for at, word in enumerate(one) if word == "--set"] for one in words]

    stories = [load(path, [read_override(typed) for typed in one]) for one in sets]

    assert tomllib.loads(text)["replicas"] == 3
    assert [len(one) for one in sets] == [2, 2, 2]
    assert stories[0].scenario.buyers[0].count == 80
    assert stories[1].scenario.market.clock.speed == 60
    assert stories[2].scenario.buyers[0].policy == "cheapest"
