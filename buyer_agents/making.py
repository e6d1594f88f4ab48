"""Making what a name and params stand for: a policy of a buyer, or a behaviour of a seller.

A name is one of those that are built in, or ``package.module:Class``. A class takes its params by
name; each is held against its annotation, as msgspec does, so a bound in it is kept.
"""

import difflib
import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_type_hints

import msgspec

HANDED: Final = {
    "chance": "a random.Random",
    "agent": "the agent's name",
}
"""Params that no file gives: who runs the agent hands them to a class that asks for them."""


class UnknownClass(ValueError):
    """The name stands for nothing; the message lists what there is."""


class BadParams(ValueError):
    """The class takes no such params; the message says which it takes.

    ``param`` is the one it is about, or "".
    """

    def __init__(self, detail: str, param: str = "") -> None:
        super().__init__(detail)
        self.param = param


def class_named(name: str, known: Mapping[str, str | type], noun: str) -> Any:
    """Return the class that is called ``name``, loading it where that is needed.

    Raises:
        UnknownClass: there is none.
    """
    meant = known.get(name, name)
    if not isinstance(meant, str):
        return meant
    module_name, colon, class_name = meant.partition(":")
    if not colon:
        built_in = f" Built in are {', '.join(known)};" if known else ""
        raise UnknownClass(
            f"no {noun} {name!r}{suggestion(name, known, otherwise='.')}{built_in}"
            f" one of your own is named 'package.module:{noun.title()}'"
        )
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownClass(f"no {noun} {name!r}: {error}") from error


def made(cls: Any, name: str, params: Mapping[str, Any], handed: Mapping[str, Any]) -> Any:
    """Return an instance of a class with ``params``, and with what of ``handed`` it asks for.

    Raises:
        BadParams: a param is unknown, missing, or not of its kind.
    """
    takes = _parameters(cls)
    own = [param for param in takes if param not in HANDED]
    hints = _hints(cls)
    given: dict[str, Any] = {
        each: handed[each] for each in HANDED if each in takes and each in handed
    }
    for param, value in params.items():
        if param not in own:
            known = f"; it takes {', '.join(own)}" if own else "; it takes none"
            raise BadParams(
                f"{name} has no param {param!r}{suggestion(param, own, otherwise=known)}", param
            )
        try:
            given[param] = msgspec.convert(value, hints.get(param, Any))
        except (msgspec.ValidationError, TypeError) as error:
            raise BadParams(f"{param} of {name}: {error}", param) from error
    missing = [
        f"{param} ({HANDED[param]})" if param in HANDED else param
        for param, one in takes.items()
        if one.default is inspect.Parameter.empty and param not in given
    ]
    if missing:
        raise BadParams(f"{name} needs the param {', '.join(missing)}")
    try:
        return cls(**given)
    except BadParams:
        raise
    except (TypeError, ValueError) as error:
        raise BadParams(f"{name}: {error}") from error


def is_honest(cls: Any) -> bool:
    """Return whether a policy or a behaviour means well, by its class attribute ``is_honest``.

    Who does not say is taken to mean well. It decides nothing in a market: a run's ``cast.json``
    keeps it, to measure by it who was found out.

    Raises:
        BadParams: it is neither True nor False.
    """
    said = getattr(cls, "is_honest", True)
    if not isinstance(said, bool):
        raise BadParams(
            f"is_honest of {getattr(cls, '__name__', cls)} is neither True nor False: write"
            " 'is_honest = False' in the class, without an annotation"
        )
    return said


def suggestion(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return the end of a sentence that names the known name most like ``name``, if one is."""
    names = list(known)
    longer = [one for one in names if name and one.startswith(name)]
    near = longer or difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else otherwise


def _parameters(cls: Any) -> dict[str, inspect.Parameter]:
    try:
        parameters = inspect.signature(cls).parameters
    except (TypeError, ValueError):
        return {}
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: one for name, one in parameters.items() if one.kind in by_name}


def _hints(cls: Any) -> dict[str, Any]:
    """Return the annotations of what a class takes; none where they cannot be read."""
    is_struct = isinstance(cls, type) and issubclass(cls, msgspec.Struct)
    try:
        return get_type_hints(cls if is_struct else cls.__init__, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}
