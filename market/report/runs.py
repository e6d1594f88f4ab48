"""What a scenario's run says of itself, in the files that it leaves in its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

RUN_FILE: Final = "run.json"
SWEEP_FILE: Final = "sweep.json"
"""In the folder of a scenario that was played more than once: it names the runs' folders."""

DONE: Final = "done"


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

    def settings(self) -> str:
        """Return how the market of the run was set up, in one line."""
        flat: dict[str, Any] = {}
        for key, value in self.market.items():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            flat |= {f"{key} {part}".strip().replace("_", " "): one for part, one in inner}
        return ", ".join(f"{key} {value}" for key, value in flat.items())

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
    """What one run of a sweep came to; ``captured`` is all that sellers were paid."""

    state: str
    journeys: dict[str, int] = {}
    captured: str = "0"
    expectations: list[Check] = []


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

    def is_done(self, replica: Replica) -> bool:
        """Whether a run was played to its end."""
        outcome = self.outcomes.get(replica.folder)
        return outcome is not None and outcome.state == DONE

    def done(self, cell: Cell) -> list[Outcome]:
        """Return the outcomes of the runs of a cell that were played to their end."""
        return [self.outcomes[one.folder] for one in cell.replicas if self.is_done(one)]


def run_in(source: str) -> Run | None:
    """Return what a run says of itself; None if the source is no scenario's run."""
    path = _folder_of(source) / RUN_FILE
    return msgspec.json.decode(path.read_bytes(), type=Run) if path.is_file() else None


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
    """Return where the market is that a report of ``source`` tells: of a sweep, its first run."""
    sweep = sweep_in(source)
    if sweep is None:
        return source
    runs = [one for one in sweep.runs if sweep.is_done(one)] or sweep.runs
    return str(sweep.place / runs[0].folder)


def _folder_of(source: str) -> Path:
    """Return the folder of a store on this machine; of an address, one that is not there."""
    if "://" in source:
        return Path(source)
    return Path(source).parent if Path(source).is_file() else Path(source)
