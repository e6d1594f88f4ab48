"""Holding what somebody's own code returns against what it must return.

A policy or a behaviour is asked by us and written by others. A ``True`` where a word is meant must
not pass for one of the words, so whoever asks says what it expects, and else raises this.
"""

import inspect
from collections.abc import Callable
from typing import Any, Final

from market.protocol.text import one_line

MAX_SHOWN: Final = 80


class WrongReturn(TypeError):
    """A method or function returned what it may not return; the message names all three."""

    def __init__(self, asked: Callable[..., Any], returned: Any, expected: str) -> None:
        if inspect.iscoroutine(returned):
            # Nobody will wait for it, and Python need not complain of that as well.
            returned.close()
            expected += ", and is no coroutine function"
        shown, kind = one_line(repr(returned), MAX_SHOWN), type(returned).__name__
        super().__init__(f"{name_of(asked)} returned {shown} ({kind}); it returns {expected}")


def name_of(asked: Callable[..., Any]) -> str:
    """Return a function as a story would name it: ``my_market:Cautious.trusts``.

    A method goes by the class of its object, wherever it was inherited from.
    """
    owner = getattr(asked, "__self__", None)
    if owner is not None and not inspect.ismodule(owner):
        return f"{type(owner).__module__}:{type(owner).__qualname__}.{asked.__name__}"
    if hasattr(asked, "__qualname__"):
        return f"{asked.__module__}:{asked.__qualname__}"
    return f"{type(asked).__module__}:{type(asked).__qualname__}"
