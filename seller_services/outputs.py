"""Outputs as behaviours see them: what a schema names, and putting one in for another."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from seller_services.handling import Chunk, Yielded

_TOGETHER: Final = ("allOf", "anyOf", "oneOf")
_BRANCHES: Final = ("then", "else")


def members_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the members that a JSON Schema names at the top of an output, each once.

    Those of its alternatives and of references inside the schema are among them.
    """
    return list(dict.fromkeys(_members(schema, schema, frozenset())))


def output_of(yielded: Yielded) -> dict[str, Any]:
    """Return what a handler delivers, without its units."""
    return yielded.output if isinstance(yielded, Chunk) else yielded


def like(yielded: Yielded, output: dict[str, Any]) -> Yielded:
    """Return another output in the place of one, for the same units."""
    return yielded._replace(output=output) if isinstance(yielded, Chunk) else output


def _members(schema: Any, whole: Mapping[str, Any], seen: frozenset[str]) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    yield from schema.get("properties", {})
    yield from (name for name in schema.get("required", ()) if isinstance(name, str))
    parts = [part for word in _TOGETHER for part in schema.get(word, ())]
    for part in [*parts, *(schema.get(word) for word in _BRANCHES)]:
        yield from _members(part, whole, seen)
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        yield from _members(_at(reference, whole), whole, seen | {reference})


def _at(reference: str, whole: Mapping[str, Any]) -> Any:
    """Return what ``#/$defs/row`` stands for (a JSON Pointer, RFC 6901), or None."""
    found: Any = whole
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
