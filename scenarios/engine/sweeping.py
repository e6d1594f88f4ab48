"""Playing a scenario more than once: what is planned, what has been played, what is left.

A **sweep** has a **cell** for each combination of the values of its axes, and in each cell its
**replicas**: runs under seeds that come from the scenario's. Replica 2 of one cell has the same
seed as replica 2 of another, so that cells differ by their values alone. Everything here is pure:
``sweepfiles`` reads and writes it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from scenarios.engine.form import Scenario
from scenarios.engine.overriding import Override, read_override, split_values
from scenarios.engine.seeds import seed_of
from scenarios.engine.story import BadScenario, Trouble

FORMAT: Final = 1
MAX_RUNS: Final = 10_000
"""The most runs of one sweep."""
MATRIX: Final = "--matrix"

State = Literal["planned", "playing", "done", "bad", "interrupted", "died"]
FINISHED: Final[frozenset[State]] = frozenset({"done", "bad"})
"""The states of a run that is not played again. It is bad if its story tested nothing."""

_UNPROVEN: Final[dict[State, State]] = {
    "done": "planned",
    "bad": "planned",
    "playing": "interrupted",
}
"""What a run counts as that left no outcome, by the state that was noted."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of what is planned."""


class Axis(Part, frozen=True, kw_only=True):
    """The values, as they were typed, that the member at a path has in turn."""

    path: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{MATRIX} {self.path}={','.join(self.values)}"


class Options(Part, frozen=True, kw_only=True):
    """What was asked for beside the scenario; None and nothing for what was not."""

    seed: int | None = None
    replicas: int | None = None
    sets: tuple[Override, ...] = ()
    matrix: tuple[Axis, ...] = ()
    scale: str | None = None


class Single(Part, frozen=True, kw_only=True):
    """A run that is played alone. ``digest`` is the SHA-256 of the text of ``scenario``, a file.

    ``played_at`` is when it was over, or else begun.
    """

    format: Literal[1] = FORMAT
    scenario: str
    digest: str
    options: Options
    is_over: bool = False
    played_at: str = ""


class Replica(Part, frozen=True, kw_only=True):
    """One run. ``folder`` is in that of the sweep; ``detail`` says why it is bad or has died."""

    number: int
    seed: int
    folder: str
    state: State = "planned"
    detail: str = ""


class Cell(Part, frozen=True, kw_only=True):
    """One combination of values: ``overrides`` by their paths, as they were typed."""

    number: int
    overrides: dict[str, str]
    replicas: list[Replica]


class Sweep(Part, frozen=True, kw_only=True):
    """All that is to be played. ``digest`` is the SHA-256 of the text of ``scenario``, a file.

    ``played_at`` is when the last of it was played, or else when that began.
    """

    format: Literal[1] = FORMAT
    name: str
    scenario: str
    digest: str
    options: Options
    cells: list[Cell]
    played_at: str = ""

    def runs(self) -> list[tuple[Cell, Replica]]:
        """Return every run in its order: the first replica of each cell, then the second."""
        pairs = [(cell, replica) for cell in self.cells for replica in cell.replicas]
        return sorted(pairs, key=lambda pair: (pair[1].number, pair[0].number))

    def left(self) -> list[tuple[Cell, Replica]]:
        """Return the runs that are not finished, in their order."""
        return [(cell, one) for cell, one in self.runs() if one.state not in FINISHED]

    def moved(self, folder: str, state: State, detail: str = "") -> "Sweep":
        """Return the sweep with the run in one folder in another state."""

        def move(one: Replica) -> Replica:
            is_it = one.folder == folder
            return replace(one, state=state, detail=detail) if is_it else one

        return self._with(move)

    def found(self, kept: Mapping[str, tuple[State, str]]) -> "Sweep":
        """Return the sweep as its folder has it: ``kept`` are states and details of its runs.

        What left none there has not been played to its end, whatever was noted of it.
        """

        def move(one: Replica) -> Replica:
            noted = _UNPROVEN.get(one.state, one.state)
            state, detail = kept.get(one.folder, (noted, one.detail))
            return replace(one, state=state, detail=detail)

        return self._with(move)

    def anew(self) -> "Sweep":
        """Return the sweep with nothing played."""
        cleared = self._with(lambda one: replace(one, state="planned", detail=""))
        return replace(cleared, played_at="")

    def _with(self, move: Callable[[Replica], Replica]) -> "Sweep":
        cells = [
            replace(cell, replicas=[move(one) for one in cell.replicas]) for cell in self.cells
        ]
        return replace(self, cells=cells)


def read_axis(typed: str) -> Axis:
    """Return what ``path=value,value`` asks for.

    Raises:
        BadScenario: there is no path, a value is missing, or one stands there twice.
    """
    override = read_override(typed, MATRIX)
    values = split_values(override.value)
    if "" in values:
        raise _wrong(f"{MATRIX} {typed}", "a value is missing", "such as: path=0,150,500")
    if len(set(values)) < len(values):
        raise _wrong(f"{MATRIX} {typed}", "a value stands there twice", "")
    return Axis(path=override.path, values=tuple(values))


def read_options(
    *,
    seed: int | None = None,
    replicas: int | None = None,
    sets: Iterable[str] = (),
    matrix: Iterable[str] = (),
    scale: str | None = None,
) -> Options:
    """Return options as they were typed, read.

    Raises:
        BadScenario: one cannot be read, or two are about the same path.
    """
    options = Options(
        seed=seed,
        replicas=replicas,
        sets=tuple(read_override(typed) for typed in sets),
        matrix=tuple(read_axis(typed) for typed in matrix),
        scale=scale,
    )
    given: list[Override | Axis] = [*options.sets, *options.matrix]
    for number, one in enumerate(given):
        if any(one.path == other.path for other in given[:number]):
            raise _wrong(str(one), f"{one.path} is given twice", "")
    if prod(len(axis.values) for axis in options.matrix) > MAX_RUNS:
        raise _wrong(MATRIX, f"these are more than {MAX_RUNS} combinations", "")
    return options


def combinations(options: Options) -> list[tuple[Override, ...]]:
    """Return the overrides of each cell, the last axis changing first."""
    axes = [
        [Override(axis.path, value, MATRIX) for value in axis.values] for axis in options.matrix
    ]
    return list(product(*axes))


def is_single(options: Options, scenario: Scenario) -> bool:
    """Whether a scenario is played just once, as if there were no sweeps."""
    return not options.matrix and replicas_of(options, scenario) == 1


def replicas_of(options: Options, scenario: Scenario) -> int:
    """Return how often each cell is played."""
    return scenario.replicas if options.replicas is None else options.replicas


def plan(
    scenarios: Sequence[Scenario], options: Options, *, scenario: str = "", digest: str = ""
) -> Sweep:
    """Return what is to be played; ``scenarios`` are those of the cells, in their order.

    Raises:
        BadScenario: these are more than ``MAX_RUNS`` runs.
    """
    if sum(replicas_of(options, one) for one in scenarios) > MAX_RUNS:
        raise _wrong(scenario, f"a sweep has at most {MAX_RUNS} runs", "fewer values or replicas")
    cells = []
    for number, (overrides, one) in enumerate(
        zip(combinations(options), scenarios, strict=True), start=1
    ):
        seed = one.seed if options.seed is None else options.seed
        cells.append(
            Cell(
                number=number,
                overrides={override.path: override.value for override in overrides},
                replicas=[
                    Replica(
                        number=replica,
                        seed=seed_of(seed, replica),
                        folder=f"cell-{number:03}/replica-{replica}",
                    )
                    for replica in range(1, replicas_of(options, one) + 1)
                ],
            )
        )
    name = scenarios[0].name
    return Sweep(name=name, scenario=scenario, digest=digest, options=options, cells=cells)


def changes(sweep: Sweep | Single, options: Options, digest: str) -> list[str]:
    """Say what differs from what was planned: the text, and each option that was given again."""
    found = []
    if digest != sweep.digest:
        found.append(f"{sweep.scenario} has changed since")
    for name in Options.__struct_fields__:
        now, then = getattr(options, name), getattr(sweep.options, name)
        if now not in (None, ()) and now != then:
            words = " ".join(_words(name, then)) or "not given"
            found.append(f"{' '.join(_words(name, now))} was {words}")
    return found


def typed(options: Options) -> list[str]:
    """Return options as the words of a command."""
    words: list[str] = []
    for name in Options.__struct_fields__:
        words += _words(name, getattr(options, name))
    return words


def _words(name: str, value: Any) -> list[str]:
    match value:
        case None:
            return []
        case tuple():
            return [word for one in value for word in str(one).split(" ", 1)]
    return [f"--{name}", str(value)]


def _wrong(where: str, detail: str, hint: str) -> BadScenario:
    return BadScenario(Trouble(where, detail, hint))
