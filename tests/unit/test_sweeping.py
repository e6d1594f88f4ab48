"""Sweeps: what is planned, under which seeds, what is left of it, and what it came to."""

import hashlib
from pathlib import Path

import pytest

from scenarios.engine import BadScenario, Scenario
from scenarios.engine.form import BuyerPart, NeedPart
from scenarios.engine.outcomes import Outcome, Spread, result_of, spread, worst
from scenarios.engine.result import ExpectationResult
from scenarios.engine.seeds import seed_of
from scenarios.engine.sweepfiles import (
    BadSweep,
    forget_outcome,
    held,
    keep_outcome,
    keep_sweep,
    read_outcome,
    read_sweep,
)
from scenarios.engine.sweeping import (
    Options,
    Sweep,
    changes,
    combinations,
    is_single,
    plan,
    read_options,
    typed,
)

NEED = NeedPart(query="convert units", input={})
STORY = Scenario(scenario=1, name="tiny", seed=7, buyers=[BuyerPart(name="walker", need=NEED)])
MATRIX = ("market.fee_basis_points=0,150", "buyers.walker.count=1,2,3")


def planned(options: Options, story: Scenario = STORY) -> Sweep:
    cells = len(combinations(options))
    return plan([story] * cells, options, scenario="tiny.toml", digest="d")


def outcome(seed: int = 7, *, status: str = "passed", found: str = "3", bought: int = 2) -> Outcome:
    expectation = ExpectationResult(
        title="sales",
        that="orders.settled == 3",
        status="passed" if status == "passed" else "failed",
        observed={"orders.settled": found},
        where="tiny.toml:3",
    )
    return Outcome(
        seed=seed,
        state="done",
        exit_code=int(status != "passed"),
        currency="XTS",
        journeys={"bought": bought, "left": 1},
        captured=f"0.{bought}",
        expectations=[expectation],
    )


def test_the_first_replica_has_the_scenarios_seed_and_the_others_one_each() -> None:
    seeds = [seed_of(42, replica) for replica in range(1, 101)]

    assert seeds[0] == 42
    assert len(set(seeds)) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
    said = hashlib.sha256(b"42:replica:2").digest()
    assert seeds[1] == int.from_bytes(said[:8]) // 2
    assert seed_of(43, 2) != seeds[1]


def test_a_matrix_has_a_cell_for_each_combination() -> None:
    sweep = planned(read_options(matrix=MATRIX, replicas=2))

    assert [tuple(cell.overrides.values()) for cell in sweep.cells] == [
        ("0", "1"),
        ("0", "2"),
        ("0", "3"),
        ("150", "1"),
        ("150", "2"),
        ("150", "3"),
    ]
    assert list(sweep.cells[0].overrides) == ["market.fee_basis_points", "buyers.walker.count"]
    assert {tuple(one.seed for one in cell.replicas) for cell in sweep.cells} == {
        (7, seed_of(7, 2))
    }
    folders = [one.folder for _, one in sweep.runs()]
    assert folders[0] == "cell-001/replica-1"
    assert folders[-1] == "cell-006/replica-2"
    assert len(set(folders)) == 12


def test_the_first_replicas_of_all_cells_are_played_first() -> None:
    sweep = planned(read_options(matrix=MATRIX, replicas=2))

    assert [one.number for _, one in sweep.left()] == [1] * 6 + [2] * 6


@pytest.mark.parametrize(
    ("options", "replicas", "single"),
    [
        (Options(), 1, True),
        (Options(), 2, False),
        (Options(replicas=1), 2, True),
        (Options(replicas=3), 1, False),
        (read_options(sets=["seed=3"], scale="0.5"), 1, True),
        (read_options(matrix=["seed=3"]), 1, False),
    ],
)
def test_what_is_played_once_is_no_sweep(options: Options, replicas: int, single: bool) -> None:
    story = Scenario(scenario=1, name="tiny", replicas=replicas, buyers=STORY.buyers)

    assert is_single(options, story) == single


def test_the_seed_that_is_given_is_that_of_the_first_replica() -> None:
    sweep = planned(Options(seed=9, replicas=2))

    assert [one.seed for one in sweep.cells[0].replicas] == [9, seed_of(9, 2)]


@pytest.mark.parametrize(
    ("sets", "matrix", "said"),
    [
        ((), ["a=1,,2"], "--matrix a=1,,2: a value is missing"),
        ((), ["a=1,1"], "a value stands there twice"),
        (["a=1"], ["a=2,3"], "--matrix a=2,3: a is given twice"),
        (["a=1", "a=2"], (), "--set a=2: a is given twice"),
        ((), [f"a{n}=" + ",".join(map(str, range(40))) for n in range(3)], "more than 10000 comb"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    sets: list[str], matrix: list[str], said: str
) -> None:
    with pytest.raises(BadScenario, match=said):
        read_options(sets=sets, matrix=matrix)


def test_a_sweep_has_at_most_ten_thousand_runs() -> None:
    options = read_options(matrix=["seed=" + ",".join(map(str, range(11)))], replicas=1_000)

    with pytest.raises(BadScenario, match=r"^tiny.toml: a sweep has at most 10000 runs"):
        planned(options)


def test_options_are_typed_again_as_they_were() -> None:
    words = typed(
        read_options(
            seed=3, replicas=2, sets=["buyers.a.need.query=two words"], matrix=MATRIX, scale="0.1"
        )
    )

    assert words == [
        *("--seed", "3", "--replicas", "2", "--set", "buyers.a.need.query=two words"),
        *("--matrix", MATRIX[0], "--matrix", MATRIX[1], "--scale", "0.1"),
    ]


def test_what_is_not_given_again_has_not_changed() -> None:
    sweep = planned(read_options(matrix=MATRIX, replicas=2, sets=["seed=3"]))

    assert changes(sweep, Options(), "d") == []
    assert changes(sweep, read_options(matrix=MATRIX), "d") == []


def test_every_change_is_named() -> None:
    sweep = planned(read_options(matrix=MATRIX, replicas=2))

    assert changes(sweep, read_options(seed=1, replicas=3, matrix=["seed=1,2"]), "e") == [
        "tiny.toml has changed since",
        "--seed 1 was not given",
        "--replicas 3 was --replicas 2",
        f"--matrix seed=1,2 was --matrix {MATRIX[0]} --matrix {MATRIX[1]}",
    ]


def test_what_left_no_outcome_is_played_whatever_was_noted_of_it() -> None:
    sweep = planned(Options(replicas=6))
    names = [one.folder for _, one in sweep.runs()]
    noted = sweep.moved(names[0], "done").moved(names[1], "done").moved(names[2], "playing")
    noted = noted.moved(names[3], "died", "killed").moved(names[4], "playing")

    found = noted.found({names[0]: ("done", ""), names[4]: ("bad", "nothing")})

    assert [(one.state, one.detail) for _, one in found.runs()] == [
        ("done", ""),
        ("planned", ""),
        ("interrupted", ""),
        ("died", "killed"),
        ("bad", "nothing"),
        ("planned", ""),
    ]
    assert [one.folder for _, one in found.left()] == [names[1], names[2], names[3], names[5]]


def test_what_is_noted_is_read_again(tmp_path: Path) -> None:
    sweep = planned(read_options(matrix=MATRIX, sets=["seed=3"], scale="2")).moved(
        "cell-002/replica-1", "died", "why"
    )

    keep_sweep(tmp_path, sweep)

    assert read_sweep(tmp_path) == sweep
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.json"]


def test_an_outcome_is_one_run_s_under_one_seed(tmp_path: Path) -> None:
    run = tmp_path / "cell-001" / "replica-1"
    run.mkdir(parents=True)

    keep_outcome(run, outcome())

    assert read_outcome(run, 7) == outcome()
    assert read_outcome(run, 8) is None
    (tmp_path / "cell-001" / "replica-1.json").write_text('{"seed": 7, "sta')
    assert read_outcome(run, 7) is None
    forget_outcome(run)
    assert read_outcome(run, 7) is None


def test_an_outcome_without_its_run_is_none(tmp_path: Path) -> None:
    keep_outcome(tmp_path / "replica-1", outcome())

    assert read_outcome(tmp_path / "replica-1", 7) is None


@pytest.mark.parametrize("text", [None, "", "{}", '{"format": 2}'])
def test_a_folder_without_a_sweep_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "sweep.json").write_text(text)

    with pytest.raises(BadSweep, match=r"sweep.json"):
        read_sweep(tmp_path)


def test_two_do_not_play_one_sweep(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(BadSweep, match="by another process"), held(tmp_path):
        pass

    with held(tmp_path):
        pass


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["3", "0.5", "1.25"], Spread(min="0.50", median="1.25", max="3")),
        (["1", "2"], Spread(min="1", median="1.50", max="2")),
        (["True", "False", "True"], Spread(counts={"False": 1, "True": 2})),
        (["'budget'"], Spread(counts={"'budget'": 1})),
        ([], Spread()),
    ],
)
def test_what_was_found_in_several_runs(values: list[str], found: Spread) -> None:
    assert spread(values) == found


def test_an_expectation_is_judged_in_every_replica() -> None:
    sweep = planned(Options(replicas=4))
    runs = [one for _, one in sweep.runs()]
    outcomes = {
        runs[0].folder: outcome(bought=5),
        runs[1].folder: outcome(status="failed", found="1", bought=1),
        runs[2].folder: outcome(found="3", bought=2),
    }
    sweep = sweep.found({run: (one.state, "") for run, one in outcomes.items()})

    result = result_of(sweep, outcomes, Path("runs/tiny-1"))

    [cell] = result.cells
    [expectation] = cell.expectations
    assert (expectation.passed, expectation.failed, cell.done) == (2, 1, 3)
    assert expectation.observed == {"orders.settled": Spread(min="1", median="3", max="3")}
    assert cell.bought == Spread(min="1", median="2", max="5")
    assert cell.captured == Spread(min="0.10", median="0.20", max="0.50")
    assert result.is_partial
    assert result.exit_code == 130
    assert cell.replicas[3].outcome is None


def test_a_bad_run_tells_what_happened_and_counts_for_nothing() -> None:
    sweep = planned(Options(replicas=1)).moved("cell-001/replica-1", "bad")
    bad = Outcome(seed=7, state="bad", exit_code=2, currency="XTS", journeys={"left": 4})

    result = result_of(sweep, {"cell-001/replica-1": bad}, Path("runs/tiny-1"))

    [cell] = result.cells
    assert (cell.done, cell.expectations, cell.left.max) == (0, [], None)
    assert cell.replicas[0].outcome == bad
    assert (result.is_partial, result.exit_code) == (False, 2)


@pytest.mark.parametrize(
    ("codes", "code"),
    [([], 0), ([0, 1], 1), ([1, 2], 2), ([2, 130, 1], 130), ([130, 1, 5, 0], 5)],
)
def test_the_worst_of_all_is_the_exit_code(codes: list[int], code: int) -> None:
    assert worst(codes) == code
