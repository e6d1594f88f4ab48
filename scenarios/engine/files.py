"""Real input: members of a need that stand in files beside the story, and nowhere else.

A story may come from anybody: it names no file outside its own folder, be it by a link, and none
that is longer than any input could be.
"""

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec

from scenarios.engine.form import NeedPart

MAX_FILE: Final = 256 * 1024
"""Bytes of a file of a story: as many as an input may have."""

_JSON: Final = ".json"


class BadInput(ValueError):
    """A file of the story is not there, or does not hold what it should."""


async def input_of(need: NeedPart, folder: Path) -> dict[str, Any]:
    """Return the input of a need, with what its files hold."""
    return await asyncio.to_thread(read_input, need.input, folder)


def read_input(declared: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return ``declared`` with what its files hold.

    Raises:
        BadInput: a file cannot be read, or the whole is no table.
    """
    whole = _read(declared, folder)
    if not isinstance(whole, dict):
        raise BadInput("the input of a need is a table, or a JSON file with an object")
    return {member: _read(value, folder) for member, value in whole.items()}


def _read(value: Any, folder: Path) -> Any:
    if not (isinstance(value, dict) and list(value) == ["file"] and isinstance(value["file"], str)):
        return value
    name = value["file"]
    try:
        text = _load(folder, name).decode()
        return msgspec.json.decode(text) if name.endswith(_JSON) else text
    except OSError as error:
        raise BadInput(f"there is no file {name!r} in {folder}") from error
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise BadInput(f"{name}: {error}") from error


def _load(folder: Path, name: str) -> bytes:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise BadInput(f"{name!r} is not in {folder}")
    if not path.is_file():
        raise BadInput(f"there is no file {name!r} in {folder}")
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise BadInput(f"{name}: it is longer than {MAX_FILE} bytes")
    return data
