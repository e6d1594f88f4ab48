"""Filling in what a probe file leaves open: ``${NAME}`` from the environment, ``{id}`` of a work.

Values of the environment are secrets: they go into requests, and into nothing that is printed.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_OPEN: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\{([a-z][a-z0-9_]*)\}")
_SECRET_LENGTH: Final = 4
NEW: Final = "new"
"""``{new}`` is a name of its own for every piece of work."""


class Blanks:
    """What may be filled in: variables, and the places of one piece of work."""

    def __init__(self, environ: Mapping[str, str], places: Mapping[str, str]) -> None:
        self._environ = environ
        self._places = places

    def text(self, template: str) -> str:
        """Return ``template`` with all that is known filled in, and the rest as it stands."""
        return _OPEN.sub(self._value, template)

    def tree(self, template: Any) -> Any:
        """Return a JSON document with each of its texts filled in."""
        if isinstance(template, str):
            return self.text(template)
        if isinstance(template, dict):
            return {name: self.tree(value) for name, value in template.items()}
        return [self.tree(item) for item in template] if isinstance(template, list) else template

    def _value(self, found: re.Match[str]) -> str:
        if found[1]:
            return self._environ.get(found[1], found[0])
        return self._places.get(found[2], found[0])


def variables_in(template: Any) -> Iterator[str]:
    """Yield the names of the variables that a document asks for."""
    yield from (found[1] for text in _texts(template) for found in _OPEN.finditer(text) if found[1])


def places_in(template: Any) -> Iterator[str]:
    """Yield the names of the places that a document leaves open."""
    yield from (found[2] for text in _texts(template) for found in _OPEN.finditer(text) if found[2])


def _texts(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, dict):
        for value in template.values():
            yield from _texts(value)
    elif isinstance(template, list | tuple):
        for item in template:
            yield from _texts(item)


class Secrets:
    """The values that a probe file took from the environment."""

    def __init__(self, values: Iterator[str]) -> None:
        self._values = sorted({one for one in values if len(one) >= _SECRET_LENGTH}, key=len)

    def hidden(self, text: str) -> str:
        """Return ``text`` with every secret in it covered."""
        for value in reversed(self._values):
            text = text.replace(value, "[secret]")
        return text
