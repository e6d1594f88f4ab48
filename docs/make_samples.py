"""Write ``docs/samples.md`` from the manifests of the sample services: ``make reference``.

What a story sells without a line of Python stands in it: each service with its price, what it
takes and what it delivers. ``tests/unit/test_samples_manual.py`` fails when it is stale.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from market.protocol.manifest import Manifest, load_manifest
from market.protocol.pricing import price_words
from seller_services.bargaining import stand_firm
from seller_services.samples import SAMPLES, Sample
from seller_services.samples.convert_units import units

PAGE = Path(__file__).with_name("samples.md")
OPENING = """\
# Sample services

Made from their manifests by `make reference`; do not edit. These services come with the market, do
real work, and need no program of yours: `service = "convert-units"` in a seller's table is all it
takes. A story gives each its name and, if it likes, another `price`, `refund` and `deliver_within`
([scenarios](scenarios.md)); a `behaviour` changes how it goes about its work
([policies](policies.md)).

A delivery comes in chunks, and every chunk is one output as it stands here. `wants` of a need and
`drops` of `bait-and-switch` name its members. What a buyer's `input` lacks, or has too much, is
refused before there is a price."""
HEAD = ("service", "does", "price", "takes", "each chunk has")
TAKES = ("input", "must be there", "is", "means")
GIVES = ("output", "always there", "is", "means")
KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "table",
}
BARE = re.compile(r"[A-Za-z0-9_-]+")
WIDTH = 140
SIZES = (("Items", "of {} items"), ("Length", "of {} letters"), ("imum", "{}"))


def page() -> str:
    """Return the page."""
    known = {name: load_manifest(sample.manifest) for name, sample in SAMPLES.items()}
    rows = [row_of(name, manifest) for name, manifest in known.items()]
    parts = [section(SAMPLES[name], manifest) for name, manifest in known.items()]
    return "\n\n".join([OPENING, table(HEAD, rows), *parts]) + "\n"


def row_of(name: str, manifest: Manifest) -> Sequence[str]:
    """Return a service's row in the table of all."""
    return (
        f"[`{name}`](#{name})",
        manifest.summary,
        price_of(manifest),
        ", ".join(f"`{member}`" for member in manifest.input["properties"]),
        ", ".join(f"`{member}`" for member in manifest.output["properties"]),
    )


def price_of(manifest: Manifest) -> str:
    """Return the price that a service has where a story says none."""
    return price_words(manifest.price, manifest.measure.unit if manifest.measure else "call")


def section(sample: Sample, manifest: Manifest) -> str:
    """Return all about one service."""
    example = manifest.examples[0]
    about = " ".join(manifest.description.split())
    parts = [
        f"## {manifest.id}",
        wrapped(f"{about} {terms(sample, manifest)}"),
        code("toml", story(manifest, example.input)),
        table(TAKES, members(manifest.input)),
        table(GIVES, members(manifest.output)),
        *forms(manifest.output),
        "A chunk of what it delivers for that input:",
        code("json", msgspec.json.format(msgspec.json.encode(example.output), indent=2).decode()),
    ]
    if manifest.id == "convert-units":
        parts.append(wrapped(f"It knows {known_units()}."))
    return "\n\n".join(parts)


def terms(sample: Sample, manifest: Manifest) -> str:
    """Return a service's terms, as sentences."""
    limits, policies = manifest.limits, manifest.policies
    seconds = policies.refund_window_seconds
    window = f" ({seconds:,} s)" if seconds else ""
    bargains = "declines" if sample.bargain is stand_firm else "meets some of"
    return (
        f"It asks {price_of(manifest)}, delivers within {limits.deliver_seconds} s, refunds"
        f" `{policies.refund}`{window}, and {bargains} the lower prices that buyers name."
    )


def story(manifest: Manifest, example: Mapping[str, Any]) -> str:
    """Return the tables of a story in which somebody buys it."""
    query = manifest.id.replace("-", " ")
    return (
        f'[[sellers]]\nname = "seller"\nservice = "{manifest.id}"\n\n[[buyers]]\nname = "buyer"\n'
        f'[buyers.need]\nquery = "{query}"\ninput = {toml(dict(example))}\n'
    )


def toml(value: Any) -> str:
    """Return a value in one line of TOML (1.0)."""
    if isinstance(value, dict):
        pairs = (f"{key(name)} = {toml(one)}" for name, one in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def key(name: str) -> str:
    """Return a key of TOML, quoted where it must be."""
    return name if BARE.fullmatch(name) else json.dumps(name)


def members(schema: Mapping[str, Any], path: str = "") -> list[Sequence[str]]:
    """Return a row for each member of a table, with those of tables within it behind it."""
    rows: list[Sequence[str]] = []
    required = schema.get("required", [])
    for name, one in schema.get("properties", {}).items():
        is_there = "yes" if name in required else ""
        rows.append((f"`{path}{name}`", is_there, kind_of(one), one.get("description", "")))
        rows += members(one.get("items", {}), f"{path}{name}[].")
    return rows


def forms(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an output has in place of what, if it has alternatives."""
    if "oneOf" in schema:
        named = [" and ".join(f"`{one}`" for one in form["required"]) for form in schema["oneOf"]]
        yield f"A chunk has either {', or '.join(named)}."


def kind_of(schema: Mapping[str, Any]) -> str:
    """Return what a value is, with its bounds."""
    if "enum" in schema:
        kind = f"one of {', '.join(f'`{json.dumps(one)}`' for one in schema['enum'])}"
    else:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        kind = " or ".join(KINDS[one] for one in types)
    bounds = [
        form.format(bound)
        for ends, form in SIZES
        if (bound := between(schema.get(f"min{ends}"), schema.get(f"max{ends}")))
    ]
    default = [f"`{json.dumps(schema['default'])}` if not given"] if "default" in schema else []
    return ", ".join([" ".join([kind, *bounds]), *default])


def between(least: int | None, most: int | None) -> str:
    """Return bounds as people say them, or ""."""
    if most is None:
        return "" if least is None else f"at least {least:,}"
    return f"up to {most:,}" if least is None else f"{least:,} to {most:,}"


def known_units() -> str:
    """Return the names that ``from`` and ``to`` may have, by what they measure."""
    named: dict[str, list[str]] = {}
    for unit in units().values():
        named.setdefault(unit.quantity, []).append(f"`{unit.name}`")
    return "; ".join(f"of {quantity} {', '.join(names)}" for quantity, names in named.items())


def wrapped(text: str) -> str:
    """Return a paragraph in lines."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join(_lines(head, rows))


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in [head, ["---"] * len(head), *rows]:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def code(language: str, text: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
