"""What is wrong with a value that breaks a JSON Schema, in one line that may be cut short.

It goes into logs and reasons that hold some 200 letters. So it says first where, then which rule
is broken and what it expects, and only then, shortened, what is there in its place.
"""

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from market.protocol.text import one_line

MASK: Final = "it"
"""What stands for the value in the messages of a validator that ``compile_schema`` makes."""

MAX_PLACE: Final = 48
MAX_RULE: Final = 110
MAX_VALUE: Final = 60
"""Letters. Place and rule together leave room for a few words before them in 200 letters."""

_BRANCHES: Final = 3


def explain(checker: jsonschema_rs.Validator, value: Any) -> str:
    """Return one line on the first way in which ``value`` breaks the schema, or ``""``.

    It has the form ``items/0: "unit" is a required property; got {"value":"1"}``: the place (a
    path of members and indexes, or ``the whole``), the rule, and the value there.
    """
    for error in checker.iter_errors(value):
        place = _shortened(_path(error.instance_path) or "the whole", MAX_PLACE, keeps_end=True)
        rule = _shortened(_rule(error), MAX_RULE)
        got = json.dumps(error.instance, ensure_ascii=False, separators=(",", ":"))
        return f"{place}: {rule}; got {_shortened(got, MAX_VALUE)}"
    return ""


def _rule(error: jsonschema_rs.ValidationError) -> str:
    """Return the rule that is broken; of alternatives, what each of them misses."""
    branches = [branch for branch in error.kind.as_dict().get("context", ()) if branch]
    if not branches:
        return error.message
    depth = len(error.instance_path)
    told = [_branch(branch[0], depth) for branch in islice(branches, _BRANCHES)]
    more = [f"{len(branches) - _BRANCHES} more"] if len(branches) > _BRANCHES else []
    return f"fits none of {len(branches)} forms ({error.schema_path[-1]}): {_any_of(told + more)}"


def _branch(error: jsonschema_rs.ValidationError, depth: int) -> str:
    place = _path(error.instance_path[depth:])
    return f"{place}: {error.message}" if place else error.message


def _any_of(texts: Iterable[str]) -> str:
    return ", or ".join(dict.fromkeys(texts))


def _path(steps: Iterable[str | int]) -> str:
    return "/".join(str(step) for step in steps)


def _shortened(text: str, limit: int, *, keeps_end: bool = False) -> str:
    """Return a line of at most ``limit`` letters, with a sign where it was cut."""
    line = one_line(text, len(text))
    if len(line) <= limit:
        return line
    return "…" + line[1 - limit :] if keeps_end else line[: limit - 1].rstrip() + "…"
