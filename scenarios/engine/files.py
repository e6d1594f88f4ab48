"""Real input: members of a need that stand in files beside the story."""

from pathlib import Path
from typing import Any, Final

import anyio
import msgspec

from scenarios.engine.form import NeedPart

_JSON: Final = ".json"


class BadInput(ValueError):
    """A file of the story is not there, or does not hold what it should."""


async def input_of(need: NeedPart, folder: Path) -> dict[str, Any]:
    """Return the input of a need, with what its files hold."""
    return await anyio.to_thread.run_sync(read_input, need.input, folder)


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
        text = (folder / name).read_text("utf-8")
        return msgspec.json.decode(text) if name.endswith(_JSON) else text
    except OSError as error:
        raise BadInput(f"there is no file {name!r} in {folder}") from error
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise BadInput(f"{name}: {error}") from error
