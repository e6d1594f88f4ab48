"""A story that can be played, and what may be wrong with one."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from scenarios.engine.form import Scenario
from scenarios.engine.places import Place, line_at

_NAME: Final = re.compile(r"[\w-]+")


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


def dotted(path: Place, tree: Any = None) -> str:
    """Return a path as people write it: ``buyers[0].need``.

    In the ``tree`` that it leads through a table of a list has its name: ``buyers.thrifty.need``.
    """
    text = ""
    for step in path:
        tree = _member(tree, step)
        name = tree.get("name") if isinstance(step, int) and isinstance(tree, Mapping) else None
        is_name = isinstance(name, str) and _NAME.fullmatch(name)
        text += f".{name}" if is_name else f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".") or "the file"


def _member(tree: Any, step: str | int) -> Any:
    try:
        return tree[step]
    except (KeyError, IndexError, TypeError):
        return None
