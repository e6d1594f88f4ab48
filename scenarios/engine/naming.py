"""Names in a scenario: what they must be the name of, and what is meant by one that is not."""

import difflib
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

from scenarios.engine.places import Place

Found = Iterator[tuple[Place, str, str]]
"""Mistakes: the path, what is wrong there, and a hint."""

_MAX_LISTED: Final = 12


def near(name: str, known: Sequence[str]) -> str:
    """Return a hint: the known name that is most like ``name``, or all of them if they are few."""
    wild = _families(known) if "*" in name else []
    found = difflib.get_close_matches(name, wild or known, n=1)
    if found:
        return f"did you mean {found[0]!r}?"
    return f"known: {', '.join(known)}" if 0 < len(known) <= _MAX_LISTED else ""


def _families(known: Sequence[str]) -> list[str]:
    """Return a pattern for each table of several: ``sober-*`` for sober-1 and sober-2."""
    stems = [name.rpartition("-")[0] for name in known if name.rpartition("-")[2].isdecimal()]
    return [f"{stem}-*" for stem in dict.fromkeys(stems)]


def near_class(name: str) -> str:
    """Return a hint: what of a module of one's own a ``module:Class`` may have meant."""
    module_name, _, class_name = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None or not class_name:
        return ""
    own = [
        each
        for each, value in vars(module).items()
        if getattr(value, "__module__", None) == module_name and not each.startswith("_")
    ]
    return near(class_name, own)


def named(path: Place, pattern: str, known: Sequence[str], noun: str = "agent") -> Found:
    """Find a name, or a pattern of names, that fits nothing known."""
    if not any(fnmatchcase(name, pattern) for name in known):
        yield path, f"no {noun} here is called {pattern!r}", near(pattern, known)
