"""What a scenario's run says of itself, in the files that it leaves in its folder."""

from pathlib import Path
from typing import Any, Final

import msgspec

RUN_FILE: Final = "run.json"


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
    is_over: bool = True
    is_interrupted: bool = False
    expectations: list[Check] = []
    findings: list[str] = []
    proven: Proven = Proven()
    journeys: list[Stream] = []
    watchers: list[Stream] = []

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


def run_in(source: str) -> Run | None:
    """Return what a run says of itself; None if the source is no scenario's run."""
    if "://" in source:
        return None
    place = Path(source)
    path = (place.parent if place.is_file() else place) / RUN_FILE
    return msgspec.json.decode(path.read_bytes(), type=Run) if path.is_file() else None
