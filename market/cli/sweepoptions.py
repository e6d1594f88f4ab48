"""Options of a scenario that is played with other values than its own, or more than once."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

import rich_click as click

_MOST_SCALE: Final = 1_000
_MOST_REPLICAS: Final = 1_000

Command = TypeVar("Command", bound=Callable[..., Any])


class Scale(click.ParamType[str]):
    """A number above 0, kept as it was typed, so that it multiplies exactly."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text of the number."""
        try:
            is_fit = 0 < Decimal(value) <= _MOST_SCALE
        except InvalidOperation:
            is_fit = False
        if not is_fit:
            self.fail(f"{value!r} is no number above 0 and up to {_MOST_SCALE}", param, ctx)
        return str(value)


def sweep_options(command: Command) -> Command:
    """Add the options that change values of a scenario, and play it more than once."""
    for option in (
        click.option(
            "--scale",
            type=Scale(),
            metavar="X",
            help="Multiply the counts of buyers and sellers by this.",
        ),
        click.option(
            "--matrix",
            multiple=True,
            metavar="PATH=A,B,...",
            help="Play it with each of these values; of several, with each combination.",
        ),
        click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="PATH=VALUE",
            help="Replace a value, such as buyers.thrifty.count=80; can be repeated.",
        ),
        click.option(
            "--replicas",
            type=click.IntRange(1, _MOST_REPLICAS),
            help="Play it so often, each time under another seed. [default: the scenario's]",
        ),
    ):
        command = option(command)
    return command
