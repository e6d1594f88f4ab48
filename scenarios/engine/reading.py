"""Reading a scenario file: every mistake with its file, its line, and what may be meant."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from scenarios.engine.checks import check, near
from scenarios.engine.form import Scenario, schema
from scenarios.engine.places import Place, line_at, lines_of
from scenarios.engine.story import BadScenario, Story, Trouble, dotted

_ERROR: Final = re.compile(r"^(.*?)(?: - at `(?:key in `)?\$(.*?)`+)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(.*)`$")
_FORMAT_ERROR: Final = re.compile(r"^(.*) \(at line (\d+), column \d+\)$", re.DOTALL)


def load(path: Path) -> Story:
    """Read and check a scenario file.

    Raises:
        BadScenario: it cannot be read, or not be run.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadScenario(Trouble(str(path), f"cannot be read: {error}")) from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        detail, line = _format_error(str(error))
        raise BadScenario(Trouble(f"{path}:{line}", f"not TOML: {detail}")) from error
    lines = lines_of(text)
    try:
        scenario = msgspec.convert(tree, Scenario, strict=True)
    except msgspec.ValidationError as error:
        place, detail, hint = _explain(str(error))
        raise BadScenario(Trouble(f"{path}:{line_at(lines, place)}", detail, hint)) from error
    return check(Story(scenario, path.parent, str(path), lines))


def _format_error(message: str) -> tuple[str, int]:
    found = _FORMAT_ERROR.match(message)
    return (found[1], int(found[2])) if found else (message, 1)


# What msgspec says, in words that help


def _explain(message: str) -> tuple[Place, str, str]:
    """Return the path, the mistake and a hint of a validation error."""
    found = _ERROR.match(message)
    assert found is not None, "the pattern matches every text"
    detail = found[1]
    path = tuple(
        name or (int(number) if number.isdecimal() else number)
        for name, number in _STEP.findall(found[2] or "")
    )
    here = _schema_at(path)
    if unknown := _UNKNOWN.match(detail):
        name = unknown[1]
        known = list(here.get("properties", {}))
        return (*path, name), f"{dotted((*path, name))} is not known here", near(name, known)
    if missing := _MISSING.match(detail):
        return path, f"{dotted((*path, missing[1]))} is missing", ""
    if "enum" in here:
        value = detail.removeprefix("Invalid enum value ").strip("'")
        known = [str(one) for one in here["enum"]]
        return path, f"{dotted(path)} cannot be {value!r}", near(value, known)
    description = here.get("description")
    is_about_form = description and "matching regex" in detail
    if is_about_form:
        return path, f"{dotted(path)} must be {description}", ""
    return path, f"{dotted(path)}: {detail[0].lower()}{detail[1:]}", ""


def _schema_at(path: Place) -> dict[str, Any]:
    """Return the part of the format's schema that describes a path."""
    whole = schema()
    here = whole
    for step in (None, *path):
        if isinstance(step, int):
            here = here.get("items", {})
        elif step is not None:
            here = here.get("properties", {}).get(step, {})
        if "$ref" in here:
            here = whole["$defs"][here["$ref"].rpartition("/")[2]]
    return here
