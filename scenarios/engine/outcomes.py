"""What became of the runs of a sweep: one by one, and over the replicas of each cell."""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from statistics import median
from typing import Final, Literal

from msgspec.structs import replace

from market.protocol.money import decimal_text
from scenarios.engine.result import (
    BAD,
    EXPECTATION_FAILED,
    INTERRUPTED,
    INVARIANT_BROKEN,
    PASSED,
    ExpectationResult,
    Result,
    RunResult,
    written,
)
from scenarios.engine.story import BadScenario
from scenarios.engine.sweeping import Cell, Options, Replica, State, Sweep

INTERNAL: Final = 70
"""A bug of the program that plays; ``sysexits.h`` calls it EX_SOFTWARE."""

_WORST: Final = (INVARIANT_BROKEN, INTERNAL, INTERRUPTED, BAD, EXPECTATION_FAILED, PASSED)


class Outcome(Result, frozen=True, kw_only=True):
    """What one run came to.

    ``journeys`` counts them by how they ended, ``captured`` is all that sellers were paid, fees
    included, as a decimal. A run is ``bad`` if its story tested nothing, or code of its own or of
    this program broke: ``detail`` says what. It has no ``currency`` if it was not played to its
    end.
    """

    seed: int
    state: Literal["done", "bad", "interrupted"]
    exit_code: int
    detail: str = ""
    seconds: float = 0.0
    events: int = 0
    currency: str = ""
    journeys: dict[str, int] = {}
    captured: str = "0"
    expectations: list[ExpectationResult] = []
    findings: list[str] = []


class Spread(Result, frozen=True, kw_only=True):
    """What was found in several runs: of numbers three, of anything else how often it was."""

    min: str | None = None
    median: str | None = None
    max: str | None = None
    counts: dict[str, int] = {}


class ExpectationSpread(Result, frozen=True, kw_only=True):
    """An expectation over the runs of a cell that were judged, of which ``passed`` met it."""

    title: str
    that: str
    where: str
    passed: int
    failed: int
    warned: int
    observed: dict[str, Spread]


class ReplicaResult(Result, frozen=True, kw_only=True):
    """One run of a cell; ``outcome`` is null if it has none."""

    number: int
    seed: int
    folder: str
    state: State
    detail: str
    outcome: Outcome | None


class CellResult(Result, frozen=True, kw_only=True):
    """One cell, over its ``done`` runs; ``replicas`` has the others, too."""

    number: int
    overrides: dict[str, str]
    done: int
    expectations: list[ExpectationSpread]
    bought: Spread
    left: Spread
    failed: Spread
    captured: Spread
    replicas: list[ReplicaResult]


class SweepResult(Result, frozen=True, kw_only=True):
    """A whole sweep. It is partial while a run is left to be played."""

    name: str
    scenario: str
    folder: str
    options: Options
    currency: str
    is_partial: bool
    is_interrupted: bool
    exit_code: int
    cells: list[CellResult]


def outcome_of(result: RunResult) -> Outcome:
    """Return the outcome of a run that was played to its end, or was interrupted."""
    paid = sum(order.captured_minor for one in result.journeys for order in one.orders)
    return Outcome(
        seed=result.seed,
        state="interrupted" if result.is_interrupted else "done",
        exit_code=result.exit_code,
        seconds=result.seconds,
        events=result.events,
        currency=result.currency,
        journeys=dict(sorted(Counter(one.outcome for one in result.journeys).items())),
        captured=decimal_text(paid, result.currency),
        expectations=result.expectations,
        findings=result.findings,
    )


def broken_outcome(detail: str, seed: int) -> Outcome:
    """Return the outcome of a run that a bug of this program ended."""
    return Outcome(seed=seed, state="bad", exit_code=INTERNAL, detail=detail)


def bad_outcome(error: BadScenario, seed: int, result: RunResult | None) -> Outcome:
    """Return the outcome of a run whose story is wrong; ``result`` if it was played."""
    played = (
        Outcome(seed=seed, state="bad", exit_code=BAD) if result is None else outcome_of(result)
    )
    return replace(played, state="bad", exit_code=BAD, detail=str(error))


def result_of(
    sweep: Sweep, outcomes: Mapping[str, Outcome], folder: Path, *, is_interrupted: bool = False
) -> SweepResult:
    """Return what a sweep has come to; ``outcomes`` are by the folders of the runs."""
    is_partial = bool(sweep.left())
    codes = [one.exit_code for one in outcomes.values()]
    if is_partial or is_interrupted:
        codes.append(INTERRUPTED)
    return SweepResult(
        name=sweep.name,
        scenario=sweep.scenario,
        folder=str(folder),
        options=sweep.options,
        currency=next((one.currency for one in outcomes.values() if one.currency), ""),
        is_partial=is_partial,
        is_interrupted=is_interrupted,
        exit_code=worst(codes),
        cells=[_cell(cell, outcomes, folder) for cell in sweep.cells],
    )


def worst(codes: Sequence[int]) -> int:
    """Return the exit code of several runs: a broken law first, then an end before the end."""
    return next((code for code in _WORST if code in codes), PASSED)


def spread(values: Sequence[str]) -> Spread:
    """Return what was found in several runs: the numbers as people write them, else counts."""
    try:
        numbers = [Decimal(value) for value in values]
    except InvalidOperation:
        return Spread(counts=dict(sorted(Counter(values).items())))
    if not numbers:
        return Spread()
    found = (min(numbers), median(numbers), max(numbers))
    low, middle, high = (written(number) for number in found)
    return Spread(min=low, median=middle, max=high)


def _cell(cell: Cell, outcomes: Mapping[str, Outcome], folder: Path) -> CellResult:
    found = [outcomes.get(one.folder) for one in cell.replicas]
    done = [one for one in found if one and one.state == "done"]
    return CellResult(
        number=cell.number,
        overrides=cell.overrides,
        done=len(done),
        expectations=_expectations(done),
        bought=spread([str(one.journeys.get("bought", 0)) for one in done]),
        left=spread([str(one.journeys.get("left", 0)) for one in done]),
        failed=spread([str(one.journeys.get("failed", 0)) for one in done]),
        captured=spread([one.captured for one in done]),
        replicas=[
            _replica(replica, outcome, folder)
            for replica, outcome in zip(cell.replicas, found, strict=True)
        ],
    )


def _replica(replica: Replica, outcome: Outcome | None, folder: Path) -> ReplicaResult:
    return ReplicaResult(
        number=replica.number,
        seed=replica.seed,
        folder=str(folder / replica.folder),
        state=replica.state,
        detail=replica.detail,
        outcome=outcome,
    )


def _expectations(done: Sequence[Outcome]) -> list[ExpectationSpread]:
    """Return the expectations of one story over its runs, each of which was judged by all."""
    spreads = []
    for row in zip(*(one.expectations for one in done), strict=True):
        counts = Counter(one.status for one in row)
        spreads.append(
            ExpectationSpread(
                title=row[0].title,
                that=row[0].that,
                where=row[0].where,
                passed=counts["passed"],
                failed=counts["failed"],
                warned=counts["warned"],
                observed={
                    source: spread([one.observed[source] for one in row])
                    for source in row[0].observed
                },
            )
        )
    return spreads
