"""Printing: data to stdout, progress and hints to stderr; no meaning by colour alone."""

import logging
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click
import msgspec
import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE: Final = 200
STYLES: Final = {"✓": "green", "✗": "red", "●": "yellow", "■": "yellow", "!": "yellow"}


def stdout() -> Console:
    """Return the console for data. What goes into a file or a pipe is wide: nothing is cut."""
    is_free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    width = _WIDE if is_free else None
    return Console(file=sys.stdout, highlight=False, soft_wrap=True, width=width)


def stderr() -> Console:
    """Return the console for progress and hints."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def silence() -> None:
    """Keep the libraries' log out of the way: a command says itself what is wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def emit(document: Any) -> None:
    """Write one JSON document to stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def emit_line(document: Any) -> None:
    """Write one JSON object as a line to stdout."""
    click.echo(msgspec.json.encode(document))


def say(text: str = "") -> None:
    """Write a line of data for people."""
    click.echo(text)


def marked(mark: str, text: str, *, indent: int = 0) -> None:
    """Write a line that begins with a symbol, in the symbol's colour where there are colours."""
    line = Text(" " * indent)
    line.append(mark, style=STYLES.get(mark, ""))
    line.append(f" {text}")
    stdout().print(line)


def hint(*commands: str) -> None:
    """Name the next useful commands."""
    for command in commands:
        click.echo(f"Next: {command}", err=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings; columns that begin with ">" are numbers, the last may fold."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            no_wrap=column is not columns[-1],
        )
    for row in rows:
        made.add_row(*row)
    console = stdout()
    with console.capture() as captured:
        console.print(made, soft_wrap=False)
    for line in captured.get().splitlines():
        say(line.rstrip())


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one below the other."""
    listed = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        say(f"{name:<{width}}  {value}")
