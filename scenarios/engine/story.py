"""A story that can be played, and what may be wrong with one."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from scenarios.engine.form import Scenario
from scenarios.engine.places import Place, line_at


class Trouble(NamedTuple):
    """One mistake in a scenario: where, what, and what to do about it ("" when that is plain)."""

    where: str
    detail: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.detail}" + (f" ({self.hint})" if self.hint else "")


class BadScenario(ValueError):
    """The scenario cannot be played, or has tested nothing: every trouble that was found."""

    def __init__(self, *troubles: Trouble) -> None:
        super().__init__("; ".join(map(str, troubles)))
        self.troubles = troubles


class Story(NamedTuple):
    """A scenario, the folder that its files lie in, and where each member stands in its text."""

    scenario: Scenario
    folder: Path = Path()
    place: str = ""
    lines: Mapping[Place, int] = {}

    def where(self, *path: str | int) -> str:
        """Return the file and line of a member, or its path in a scenario made by a program."""
        return f"{self.place}:{line_at(self.lines, path)}" if self.lines else dotted(path)


def dotted(path: Place) -> str:
    """Return a path as people write it: ``buyers[0].need``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the file"
