"""``market schema``: JSON Schemas, so that editors complete and check what people write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click

from market.cli.failures import reported
from market.cli.output import emit, hint, say
from market.faces.http.openapi import portable
from market.probe import schema as probe_schema
from market.protocol.events import KINDS, Event
from market.protocol.manifest import Manifest
from scenarios.engine import schema as scenario_schema

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _manifest() -> dict[str, Any]:
    return msgspec.json.schema(Manifest)


def _event() -> dict[str, Any]:
    """Return the schema of an event, with each kind and what its body holds."""
    tree = msgspec.json.schema(Event)
    tree["$defs"]["Event"]["properties"]["kind"] = {
        "oneOf": [
            {"const": name, "description": f"{kind.body} (by {kind.writer}, for {kind.audience})"}
            for name, kind in KINDS.items()
        ]
    }
    return tree


_SCHEMAS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "scenario": scenario_schema,
    "manifest": _manifest,
    "event": _event,
    "probe": probe_schema,
}


@click.command()
@click.argument("name", type=click.Choice(list(_SCHEMAS)))
@click.option(
    "--write", "file", type=click.Path(path_type=Path, dir_okay=False), help="To this file."
)
@reported
def schema(name: str, file: Path | None) -> None:
    """Print the JSON Schema of a scenario, a manifest, an event or a probe file.

    In a TOML file, name it in the first line: #:schema ./scenario.schema.json
    """
    tree = {"$schema": _DIALECT, **_tidy(portable(_SCHEMAS[name]()))}
    if file is None:
        emit(tree)
        hint(f"market schema {name} --write {name}.schema.json")
        return
    file.write_bytes(msgspec.json.format(msgspec.json.encode(tree), indent=2) + b"\n")
    say(f"✓ wrote {file}")


def _tidy(tree: Any) -> Any:
    """Put each description into one line: editors show it in a tooltip."""
    if isinstance(tree, dict):
        return {
            name: " ".join(value.replace("``", "").split())
            if name == "description" and isinstance(value, str)
            else _tidy(value)
            for name, value in tree.items()
        }
    return [_tidy(item) for item in tree] if isinstance(tree, list) else tree
