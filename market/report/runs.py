"""What a scenario's run says of itself, in the files that it leaves in its folder."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

RUN_FILE: Final = "run.json"
SINGLE_FILE: Final = "played.json"
"""In the folder of a scenario that was played once: whether it is over."""

SWEEP_FILE: Final = "sweep.json"
"""In the folder of a scenario that was played more than once: it names the runs' folders."""

DONE: Final = "done"
INTERRUPTED: Final = "interrupted"
BAD: Final = "bad"
"""States of a run of a sweep. A bad one was played, and tested nothing: no figure counts it."""

_NAMED: Final = 4


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """An expectation of the scenario: ``status`` is passed, failed or warned."""

    title: str
    status: str
    that: str = ""
    observed: dict[str, str] = {}
    where: str = ""


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit at the end of a run went through."""

    postings: int = 0
    events: int = 0
    receipts: int = 0


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A buyer's journey or somebody's device: how often its live stream was cut and went on."""

    buyer: str = ""
    name: str = ""
    cut: int = 0
    resumed: int = 0
    differences: int = 0


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """How often a kind of fault happened to somebody: an agent, a device, or "the market"."""

    kind: str
    who: str
    times: int


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What in a story only the run could show to be wrong: code that broke, a test of nothing."""

    where: str
    detail: str


class Stood(msgspec.Struct, frozen=True, kw_only=True):
    """How a seller of the story stood at the end of the run; ``trust`` is a decimal, 0 to 1."""

    name: str
    trust: str
    is_frozen: bool


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a report takes from a run's ``run.json``."""

    name: str
    seed: int
    market: dict[str, Any] = {}
    is_over: bool = True
    is_interrupted: bool = False
    expectations: list[Check] = []
    findings: list[str] = []
    proven: Proven = Proven()
    journeys: list[Stream] = []
    watchers: list[Stream] = []
    faults: list[Fault] = []
    troubles: list[Trouble] = []
    sellers: list[Stood] = []

    def untested(self) -> str:
        """Return why the run tested nothing; "" if it tested something."""
        return "; ".join(f"{one.where}: {one.detail}" for one in self.troubles)

    def settings(self) -> str:
        """Return how the market of the run was set up, in one line."""
        flat: dict[str, Any] = {}
        for key, value in self.market.items():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            flat |= {f"{key} {part}".strip().replace("_", " "): one for part, one in inner}
        return ", ".join(f"{key} {_setting(value)}" for key, value in flat.items())

    def streams(self) -> list[dict[str, Any]]:
        """Return a row for each live stream that was cut: whose it is, and what became of it."""
        return [
            {
                "who": one.buyer or one.name,
                "cut": one.cut,
                "resumed": one.resumed,
                "differences": one.differences,
            }
            for one in (*self.journeys, *self.watchers)
            if one.cut
        ]

    def happened(self) -> list[dict[str, Any]]:
        """Return a row for each kind of fault: how often it happened, to how many, and to whom."""
        kinds = dict.fromkeys(one.kind for one in self.faults)
        like = {kind: [one for one in self.faults if one.kind == kind] for kind in kinds}
        return [
            {
                "kind": kind,
                "times": sum(one.times for one in faults),
                "hit": len(faults),
                "who": _first([one.who for one in faults]),
            }
            for kind, faults in like.items()
        ]


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a sweep, in ``folder`` of that of the sweep."""

    number: int
    seed: int
    folder: str


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of a sweep that differ by their seeds alone: ``overrides`` by their paths."""

    number: int
    overrides: dict[str, str]
    replicas: list[Replica]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of a sweep came to; ``captured`` is all that sellers were paid.

    ``detail`` says of a bad run what it did not test.
    """

    state: str
    detail: str = ""
    journeys: dict[str, int] = {}
    captured: str = "0"
    expectations: list[Check] = []


class _Single(msgspec.Struct, frozen=True, kw_only=True):
    """What ``played.json`` tells."""

    is_over: bool


class _Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What ``sweep.json`` tells."""

    name: str
    cells: list[Cell]


class Sweep(NamedTuple):
    """The runs of a scenario that was played more than once, and what they came to.

    ``outcomes`` are by the folders of the runs within ``place``; of a run that is not over there is
    none.
    """

    name: str
    cells: list[Cell]
    outcomes: Mapping[str, Outcome]
    place: Path

    @property
    def runs(self) -> list[Replica]:
        """Return every run that was planned."""
        return [replica for cell in self.cells for replica in cell.replicas]

    @property
    def left(self) -> list[Replica]:
        """Return the runs that are still to be played, or to be played anew."""
        return [one for one in self.runs if not self._is_over(one)]

    def _is_over(self, replica: Replica) -> bool:
        outcome = self.outcomes.get(replica.folder)
        return outcome is not None and outcome.state != INTERRUPTED

    def is_done(self, replica: Replica) -> bool:
        """Whether a run was played to its end."""
        outcome = self.outcomes.get(replica.folder)
        return outcome is not None and outcome.state == DONE

    def is_bad(self, replica: Replica) -> bool:
        """Whether a run tested nothing, so that no figure counts it."""
        outcome = self.outcomes.get(replica.folder)
        return outcome is not None and outcome.state == BAD

    def bad(self, runs: Sequence[Replica]) -> dict[str, str]:
        """Return those of these runs that tested nothing: their folders, and what each says."""
        return {one.folder: self.outcomes[one.folder].detail for one in runs if self.is_bad(one)}

    def done(self, cell: Cell) -> list[Outcome]:
        """Return the outcomes of the runs of a cell that were played to their end."""
        return [self.outcomes[one.folder] for one in cell.replicas if self.is_done(one)]


def left_out(details: Collection[str], runs: int) -> str:
    """Say how many of so many runs tested nothing, and why; "" if each tested something."""
    if not details:
        return ""
    first, *others = dict.fromkeys(detail for detail in details if detail) or [""]
    why = f": {first}" if first else ""
    more = f", and {len(others):,} more reason{'s' if len(others) > 1 else ''}" if others else ""
    them = "is left out of every figure" if len(details) == 1 else "are left out of every figure"
    return f"{len(details):,} of {runs:,} runs tested nothing and {them}{why}{more}."


def run_in(source: str) -> Run | None:
    """Return what a run says of itself; None if the source is no scenario's run."""
    path = _folder_of(source) / RUN_FILE
    return msgspec.json.decode(path.read_bytes(), type=Run) if path.is_file() else None


def was_killed(source: str) -> bool:
    """Whether a run was ended so suddenly that it said nothing of itself."""
    folder = _folder_of(source)
    single = folder / SINGLE_FILE
    if (folder / RUN_FILE).is_file() or not single.is_file():
        return False
    return not msgspec.json.decode(single.read_bytes(), type=_Single).is_over


def sweep_in(source: str) -> Sweep | None:
    """Return the sweep in a folder, with what its runs came to; None if it holds none."""
    folder = _folder_of(source)
    if not (folder / SWEEP_FILE).is_file():
        return None
    sweep = msgspec.json.decode((folder / SWEEP_FILE).read_bytes(), type=_Planned)
    runs = [replica.folder for cell in sweep.cells for replica in cell.replicas]
    outcomes = {
        run: msgspec.json.decode(file.read_bytes(), type=Outcome)
        for run in runs
        if (file := folder / f"{run}.json").is_file()
    }
    return Sweep(name=sweep.name, cells=sweep.cells, outcomes=outcomes, place=folder)


def market_of(source: str) -> str:
    """Return where the market is that a report of ``source`` tells.

    Of a sweep it is the first run that was played to its end, or else that was begun.
    """
    sweep = sweep_in(source)
    if sweep is None:
        return source
    begun = [one for one in sweep.runs if (sweep.place / one.folder).is_dir()]
    runs = [one for one in sweep.runs if sweep.is_done(one)] or begun or sweep.runs
    return str(sweep.place / runs[0].folder)


def _setting(value: Any) -> str:
    """Return a setting as people write it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)


def _first(names: Sequence[str]) -> str:
    """Return some names as people write them, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _folder_of(source: str) -> Path:
    """Return the folder of a store on this machine; of an address, one that is not there."""
    if "://" in source:
        return Path(source)
    return Path(source).parent if Path(source).is_file() else Path(source)
