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
    """A scenario, the folder that its files lie in, and where each member stands in its text.

    ``given`` names the option that gave a place its value, where that is not the file's own.
    ``digest`` is the SHA-256 of the text, in hex.
    """

    scenario: Scenario
    folder: Path = Path()
    place: str = ""
    lines: Mapping[Place, int] = {}
    given: Mapping[Place, str] = {}
    digest: str = ""

    def where(self, *path: str | int) -> str:
        """Return the file and line of a member, or the option that gave it.

        In a scenario made by a program it is the path.
        """
        if option := given_at(self.given, path):
            return option
        return f"{self.place}:{line_at(self.lines, path)}" if self.lines else dotted(path)


def given_at(given: Mapping[Place, str], path: Place) -> str:
    """Return the option that gave a place its value, or a table around it; "" for none."""
    return next((given[path[:end]] for end in range(len(path), 0, -1) if path[:end] in given), "")


def dotted(path: Place) -> str:
    """Return a path as people write it: ``buyers[0].need``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the file"
