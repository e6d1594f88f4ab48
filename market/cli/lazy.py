"""Groups whose commands are imported when they are called: help must not load the market."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from rich_click import RichCommand, RichGroup


class Lazy(NamedTuple):
    """Where a command is (``package.module:function``), and its line in the help."""

    place: str
    summary: str


class LazyGroup(RichGroup):
    """A group that knows its commands by name, place and summary alone."""

    def __init__(self, *args: Any, tree: Mapping[str, "Lazy | LazyGroup"], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tree = tree

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the tree."""
        return list(self.tree)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return what help needs of a command; its module is not loaded."""
        known = self.tree.get(cmd_name)
        if isinstance(known, Lazy):
            return RichCommand(name=cmd_name, help=known.summary)
        return known

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is called, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        known = self.tree.get(name or "")
        return name, load(known.place) if isinstance(known, Lazy) else command, rest


def load(place: str) -> click.Command:
    """Import the module of a command and return the command."""
    module_name, _, attribute = place.partition(":")
    command = getattr(importlib.import_module(module_name), attribute)
    assert isinstance(command, click.Command), f"{place} is no command"
    return command
