"""Names in a scenario: what they must be the name of, and what is meant by one that is not."""

import difflib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

from scenarios.engine.places import Place

Found = Iterator[tuple[Place, str, str]]
"""Mistakes: the path, what is wrong there, and a hint."""

_MAX_LISTED: Final = 12


def near(name: str, known: Sequence[str]) -> str:
    """Return a hint: the known name that is most like ``name``, or all of them if they are few."""
    found = difflib.get_close_matches(name, known, n=1)
    if found:
        return f"did you mean {found[0]!r}?"
    return f"known: {', '.join(known)}" if 0 < len(known) <= _MAX_LISTED else ""


def named(path: Place, pattern: str, known: Sequence[str], noun: str = "agent") -> Found:
    """Find a name, or a pattern of names, that fits nothing known."""
    if not any(fnmatchcase(name, pattern) for name in known):
        yield path, f"no {noun} here is called {pattern!r}", near(pattern, known)
