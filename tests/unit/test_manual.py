"""The manual is tested: whatever people may meet by name stands in README or in docs."""

import runpy
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import market.app  # noqa: F401 - it loads every room, and so every refusal
from market.base.errors import every_refusal
from market.base.settings import variables
from market.cli.lazy import LazyGroup
from market.cli.tree import ROOT
from market.protocol.events import KINDS, REASONS
from market.protocol.ids import PREFIXES

PROJECT = Path(__file__).parents[2]
MANUAL = "\n".join(
    path.read_text("utf-8")
    for path in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
)


def commands(group: LazyGroup = ROOT, path: str = "market") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, LazyGroup):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


NAMES = {
    "setting": sorted(variables()),
    "refusal": sorted({kind.code for kind in every_refusal()}),
    "kind of event": sorted(KINDS),
    "reason": sorted(REASONS),
    "id prefix": sorted(PREFIXES),
    "command": sorted(commands()),
}


@pytest.mark.parametrize("what", NAMES)
def test_everything_that_has_a_name_is_in_the_manual(what: str):
    # A command may be followed by its arguments.
    missing = [
        name for name in NAMES[what] if f"`{name}`" not in MANUAL and f"`{name} " not in MANUAL
    ]

    assert missing == [], "run `make reference`"


def test_the_reference_is_what_the_code_says():
    made = runpy.run_path(str(PROJECT / "docs" / "make_reference.py"))["reference"]()

    assert (PROJECT / "docs" / "reference.md").read_text("utf-8") == made, "run `make reference`"
