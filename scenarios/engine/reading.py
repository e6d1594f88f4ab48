"""Reading a TOML file of ours: every mistake with its file, its line, and what may be meant."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from market.protocol.text import PLAIN, PLAIN_LINE
from market.protocol.toml import NotToml, load_text, read_toml
from scenarios.engine.checks import AMOUNTS, check
from scenarios.engine.form import Scenario
from scenarios.engine.naming import near
from scenarios.engine.overriding import Override, changed
from scenarios.engine.places import Place, line_at, lines_of
from scenarios.engine.story import BadScenario, Story, Trouble, dotted, given_at

_ERROR: Final = re.compile(r"^(.*?)(?: - at `(?:key in `)?\$(.*?)`+)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(.*)`$")
_FORMS: Final = {PLAIN_LINE: "one line of plain text", PLAIN: "plain text"}
_FORMAT_ERROR: Final = re.compile(r"^(.*) \(at line (\d+), column \d+\)$", re.DOTALL)

Form = TypeVar("Form", bound=msgspec.Struct)


def load(path: Path, overrides: Iterable[Override] = (), scale: str | None = None) -> Story:
    """Read and check a scenario file, with other values than its own where options give some.

    Raises:
        BadScenario: it cannot be read, or not be run.
    """
    text, tree, lines = _read(path)
    whole, given = changed(tree, overrides, scale, msgspec.json.schema(Scenario))
    story = Story(
        _formed(whole, Scenario, place=str(path), lines=lines, given=given),
        path.parent,
        str(path),
        lines,
        given,
        _digest(text),
    )
    return check(story)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a scenario's text, as ``Story.digest`` has it.

    Raises:
        BadScenario: it cannot be read.
    """
    return _digest(_read(path)[0])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read_form(path: Path, form: type[Form]) -> tuple[Form, dict[Place, int]]:
    """Read a TOML file of a form; return what it says, and the line of each member.

    Raises:
        BadScenario: it cannot be read, or is not of the form.
    """
    _, tree, lines = _read(path)
    return _formed(tree, form, place=str(path), lines=lines, given={}), lines


def _read(path: Path) -> tuple[str, dict[str, Any], dict[Place, int]]:
    """Return a file's text, what it declares, and the line of each member."""
    try:
        text = load_text(path)
    except FileNotFoundError as error:
        raise BadScenario(Trouble(str(path), "the file does not exist")) from error
    except OSError as error:
        raise BadScenario(Trouble(str(path), f"cannot be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise BadScenario(Trouble(str(path), f"cannot be read: {error}")) from error
    except NotToml as error:
        raise BadScenario(Trouble(str(path), str(error))) from error
    try:
        tree = read_toml(text)
    except NotToml as error:
        detail, line = _format_error(str(error))
        raise BadScenario(Trouble(f"{path}:{line}", f"not TOML: {detail}")) from error
    return text, tree, lines_of(text)


def _formed(
    tree: dict[str, Any],
    form: type[Form],
    *,
    place: str,
    lines: Mapping[Place, int],
    given: Mapping[Place, str],
) -> Form:
    """Return what was read, in its form; a mistake is where its line or its option is."""
    try:
        return msgspec.convert(tree, form, strict=True)
    except msgspec.ValidationError as error:
        path, detail, hint = _explain(str(error), tree, msgspec.json.schema(form))
        where = given_at(given, path) or f"{place}:{line_at(lines, path)}"
        raise BadScenario(Trouble(where, detail, hint)) from error


def _format_error(message: str) -> tuple[str, int]:
    found = _FORMAT_ERROR.match(message)
    return (found[1], int(found[2])) if found else (message, 1)


# What msgspec says, in words that help


def _explain(message: str, tree: dict[str, Any], whole: dict[str, Any]) -> tuple[Place, str, str]:
    """Return the path, the mistake and a hint of a validation error in what was read."""
    found = _ERROR.match(message)
    assert found is not None, "the pattern matches every text"
    detail = found[1]
    path = tuple(
        name or (int(number) if number.isdecimal() else number)
        for name, number in _STEP.findall(found[2] or "")
    )
    here = _schema_at(path, whole)
    if unknown := _UNKNOWN.match(detail):
        name = unknown[1]
        known = list(here.get("properties", {}))
        return (*path, name), f"{dotted((*path, name), tree)} is not known here", near(name, known)
    if missing := _MISSING.match(detail):
        return path, f"{dotted((*path, missing[1]), tree)} is missing", ""
    said, hint = _misfit(path, detail, here, _given(tree, path))
    return path, f"{dotted(path, tree)}{said}", hint


def _misfit(path: Place, detail: str, here: dict[str, Any], value: Any) -> tuple[str, str]:
    """Return what is wrong with a value, and a hint; ``here`` is the form that it has not."""
    if "enum" in here:
        text = detail.removeprefix("Invalid enum value ").strip("'")
        return f" cannot be {text!r}", near(text, [str(one) for one in here["enum"]])
    if "anyOf" in here:
        return f" cannot be {value!r}", _either(here["anyOf"])
    if path and path[-1] in AMOUNTS:
        return f" {_amount_trouble(value)}", ""
    if "matching regex" in detail:
        form = here.get("description") or _FORMS.get(here["pattern"], "of its form")
        return f" must be {form}", ""
    if "pattern" in here and "description" in here and not isinstance(value, str):
        return f" must be {here['description']}", _as_duration(value, here["pattern"])
    is_single = here.get("type") == "array" and isinstance(value, dict)
    hint = f"write [[{dotted(path)}]]" if is_single else ""
    return f": {detail[0].lower()}{detail[1:]}", hint


def _as_duration(value: Any, pattern: str) -> str:
    """Return a hint for a number that stands where a time with its unit must."""
    text = f"{value}s"
    return f'write "{text}"' if re.match(pattern, text) else ""


def _either(forms: Iterable[Mapping[str, Any]]) -> str:
    """Return a hint: the values and the numbers that may stand where a form has several ways."""
    ways: list[str] = []
    for form in forms:
        ways += map(repr, form.get("enum", ()))
        if form.get("type") == "integer":
            ways.append(f"a whole number from {form['minimum']} to {form['maximum']}")
    return f"known: {', '.join(ways)}"


def _given(tree: Any, path: Place) -> Any:
    """Return the value that stands at a path of the file; None for one among others unnamed."""
    for step in path:
        if step == "...":
            return None
        tree = tree[step]
    return tree


def _amount_trouble(value: Any) -> str:
    """Return what is wrong with an amount of money."""
    if not isinstance(value, str):
        return 'is not an amount: write amounts in quotes, such as "0.40"'
    if re.fullmatch(r"-[0-9.]+", value):
        return f"must not be negative: {value!r}"
    if re.fullmatch(r"[0-9]+\.[0-9]{7,}", value):
        return f"may have at most 6 decimals: {value!r}"
    return 'must be a decimal, such as "0.40"'


def _schema_at(path: Place, whole: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a form's whole schema that describes a path."""
    here = whole
    for step in (None, *path):
        if isinstance(step, int):
            here = here.get("items", {})
        elif step is not None:
            here = here.get("properties", {}).get(step, {})
        if "$ref" in here:
            here = whole["$defs"][here["$ref"].rpartition("/")[2]]
    return here
