"""TOML that people write, read within bounds: a file from anybody cannot stall or end a program."""

import tomllib
from pathlib import Path
from typing import Any, Final

MAX_TOML: Final = 1024 * 1024
"""The longest file that is read, in bytes."""


class NotToml(ValueError):
    """The text is not TOML, too long, or nested too deep; the message says which, and where."""


def read_toml(text: str) -> dict[str, Any]:
    """Return what a TOML text declares.

    Raises:
        NotToml: it cannot be read.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise NotToml("it is nested too deep") from error
    except ValueError as error:  # TOMLDecodeError, and numbers that Python does not convert
        raise NotToml(str(error)) from error


def load_text(path: Path) -> str:
    """Return the text of a TOML file.

    Raises:
        NotToml: it is longer than ``MAX_TOML``.
        OSError, UnicodeDecodeError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_TOML + 1)
    if len(data) > MAX_TOML:
        raise NotToml(f"it is longer than {MAX_TOML} bytes")
    return data.decode("utf-8")
