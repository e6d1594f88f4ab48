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
    """A group that knows its commands by name, place and summary alone.

    ``default`` is the command that is meant where none of them is named.
    """

    def __init__(
        self,
        *args: Any,
        tree: Mapping[str, "Lazy | LazyGroup"],
        default: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.tree = tree
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; those that name no command are the default command's."""
        named = (*self.tree, *ctx.help_option_names)
        if self.default is not None and (not args or args[0] not in named):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

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
