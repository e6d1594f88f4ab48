"""Values that replace those of a scenario file: ``--set path=value``, ``--matrix``, ``--scale``.

A path is written with dots. A table in a list is addressed by its ``name``, or by its number from
0, as messages write it: ``buyers.thrifty.need.max_price``, ``faults[0].times``. What it leads to
need not stand in the file, but must have a place in the form.
"""

import copy
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from market.protocol.toml import NotToml, read_toml
from scenarios.engine.naming import near
from scenarios.engine.places import Place
from scenarios.engine.story import BadScenario, Trouble, dotted

Tree = dict[str, Any]

_STEP: Final = re.compile(
    r"""(?:"([^"]*)"|'([^']*)'|([^\s."'\[\]=]+))((?:\[[0-9]{1,4}\])*)(\.|$)"""
)
_TYPED: Final = re.compile(r"""((?:"[^"]*"|'[^']*'|[^="'])+)=(.*)""", re.DOTALL)
_SCALED: Final = ("buyers", "sellers")
_SEVERAL: Final = 2


class Override(msgspec.Struct, frozen=True):
    """A value, as it was typed, for the member at a path; ``option`` is what it was typed for."""

    path: str
    value: str
    option: str = "--set"

    def __str__(self) -> str:
        return f"{self.option} {self.path}={self.value}"


class Changed(NamedTuple):
    """A tree with other values; ``given`` says of each changed place which option changed it."""

    tree: Tree
    given: dict[Place, str]


def read_override(typed: str, option: str = "--set") -> Override:
    """Return what ``path=value`` asks for.

    Raises:
        BadScenario: there is no path, or no "=".
    """
    found = _TYPED.fullmatch(typed)
    if found is None:
        raise _wrong(f"{option} {typed}", "it is written path=value", "")
    return Override(found[1].strip(), found[2].strip(), option)


def split_values(text: str) -> list[str]:
    """Return the values between the commas that stand in no quotes and no brackets."""
    values, depth, quote = [""], 0, ""
    for letter in text:
        if letter == "," and not (depth or quote):
            values.append("")
            continue
        values[-1] += letter
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        else:
            depth += (letter in "[{") - (letter in "]}")
    return [value.strip() for value in values]


def changed(
    tree: Tree, overrides: Iterable[Override], scale: str | None, shape: dict[str, Any]
) -> Changed:
    """Return a copy of what a file says, with other values; ``shape`` is the form's JSON Schema.

    The overrides come one after the other. Then ``scale`` multiplies every ``count`` of buyers
    and sellers that is above 1. None falls below 2: one alone is not numbered, and patterns such
    as ``thrifty-*`` would name nobody.

    Raises:
        BadScenario: a path leads nowhere.
    """
    whole = Changed(dict(tree), {})
    for override in overrides:
        place = _replace(whole.tree, override, shape)
        whole.given[place] = str(override)
    if scale is not None:
        for place in _scale(whole.tree, Decimal(scale)):
            whole.given[place] = f"--scale {scale}"
    return whole


def _scale(tree: Tree, scale: Decimal) -> list[Place]:
    """Multiply the counts, halves rounded up; return their places."""
    places: list[Place] = []
    for kind in _SCALED:
        if not isinstance(tree.get(kind), list):
            continue
        tables = tree[kind] = list(tree[kind])
        for number, table in enumerate(tables):
            count = table.get("count") if isinstance(table, dict) else None
            if type(count) is int and count >= _SEVERAL:
                scaled = max(_SEVERAL, int(count * scale + Decimal("0.5")))
                tables[number] = {**table, "count": scaled}
                places.append((kind, number, "count"))
    return places


def _replace(tree: Tree, override: Override, whole: dict[str, Any]) -> Place:
    """Put the value at its place, with the tables that lead there, and return the place."""
    walk = _Walk(override, whole)
    here: Any = tree
    *steps, last = _steps(override)
    for step in steps:
        key = walk.key(here, step)
        walk.enter(key)
        empty: Any = [] if "items" in walk.shape else {}
        # Only what leads there is copied: the rest may be nested deeper than a copy can go.
        here[key] = copy.copy(here.get(key, empty) if isinstance(here, dict) else here[key])
        here = here[key]
    key = walk.key(here, last)
    walk.enter(key)
    here[key] = _value(override.value, walk.shape)
    return walk.place


class _Walk:
    """A way down a tree and its form, step by step."""

    def __init__(self, override: Override, whole: dict[str, Any]) -> None:
        self.place: Place = ()
        self.shape = _shape(whole, whole)
        self._override = override
        self._whole = whole

    def key(self, here: Any, step: str | int) -> str | int:
        """Return the member or the number of the item that a step means."""
        if isinstance(here, list):
            return self._item(here, step)
        if not (isinstance(here, dict) and self._is_table()):
            raise self._wrong(f"{dotted(self.place)} is a value, and has no members", "")
        known = self.shape.get("properties", {})
        is_free = self.shape.get("additionalProperties", "properties" not in self.shape)
        if isinstance(step, str) and (step in known or is_free):
            return step
        hint = near(step, list(known)) if isinstance(step, str) else ""
        raise self._wrong(f"{dotted((*self.place, step))} is not known here", hint)

    def enter(self, key: str | int) -> None:
        """Go one step on."""
        inner = "items" if isinstance(key, int) else "properties"
        found = self.shape.get(inner, {})
        self.shape = _shape(found if isinstance(key, int) else found.get(key, {}), self._whole)
        self.place = (*self.place, key)

    def _is_table(self) -> bool:
        kind = self.shape.get("type", "object")
        return kind == "object" and not {"enum", "const", "anyOf"} & set(self.shape)

    def _item(self, here: list[Any], step: str | int) -> int:
        where = dotted(self.place)
        if isinstance(step, int):
            if step < len(here):
                return step
            raise self._wrong(f"{where} has {len(here)} items; the first is {where}[0]", "")
        names = [table.get("name") if isinstance(table, dict) else None for table in here]
        if step in names:
            return names.index(step)
        known = [name for name in names if isinstance(name, str)]
        hint = near(step, known) if known else f"write {where}[0]"
        raise self._wrong(f"nothing in {where} is called {step!r}", hint)

    def _wrong(self, detail: str, hint: str) -> BadScenario:
        return _wrong(str(self._override), detail, hint)


def _steps(override: Override) -> list[str | int]:
    """Return the steps of a path: keys, bare or in quotes, and numbers in brackets."""
    steps: list[str | int] = []
    at, is_open = 0, True
    while is_open and (found := _STEP.match(override.path, at)):
        steps.append(next(key for key in found.group(1, 2, 3) if key is not None))
        steps += [int(number) for number in re.findall(r"[0-9]+", found[4])]
        at, is_open = found.end(), found[5] == "."
    if is_open or at < len(override.path):
        hint = "such as buyers.thrifty.wallet"
        raise _wrong(str(override), f"{override.path!r} is no path", hint)
    return steps


def _value(text: str, shape: dict[str, Any]) -> Any:
    """Return a typed value: as TOML reads it, or else the text, as where the form wants a text."""
    try:
        read = read_toml(f"value = {text}")
    except NotToml:
        return text
    value = read["value"]
    is_text = shape.get("type") == "string" and not isinstance(value, str)
    return text if is_text or len(read) > 1 else value


def _shape(part: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a JSON Schema, or what it refers to."""
    found: dict[str, Any] = part
    if "$ref" in part:
        found = whole["$defs"][part["$ref"].rpartition("/")[2]]
    return found


def _wrong(where: str, detail: str, hint: str) -> BadScenario:
    return BadScenario(Trouble(where, detail, hint))
