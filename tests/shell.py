"""Commands as the shell runs them, for tests."""

from collections.abc import Callable
from typing import NamedTuple


class Said(NamedTuple):
    """What a command wrote, and how it ended."""

    out: str
    err: str
    exit_code: int


Market = Callable[..., Said]
"""Runs ``market`` with the given arguments."""
