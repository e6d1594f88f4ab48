"""Printing: data to stdout, progress and hints to stderr; no meaning by colour alone."""

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import structlog
from click.core import ParameterSource
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE: Final = 200
_GAP: Final = 2
_FOLDED: Final = 24
_NAME: Final = "market"
LOG_FILE: Final = "log.jsonl"
CLIENT: Final = ("--key", "--url")
"""The options by which a command reaches a market; a hint carries them on."""
STYLES: Final = {"✓": "green", "✗": "red", "●": "yellow", "■": "yellow", "!": "yellow"}


class _Stdout(Console):
    """The console for data; a reader that has gone away is for ``failures`` to handle."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def stdout() -> Console:
    """Return the console for data. What goes into a file or a pipe is wide: nothing is cut."""
    is_free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    width = _WIDE if is_free else None
    return _Stdout(file=sys.stdout, highlight=False, soft_wrap=True, width=width)


def stderr() -> Console:
    """Return the console for progress and hints."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def silence() -> None:
    """Keep the libraries' log out of the way: a command says itself what is wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@contextmanager
def logged_in(folder: Path) -> Iterator[None]:
    """Write the libraries' log to ``log.jsonl`` in a folder, within the block."""
    with (folder / LOG_FILE).open("w", encoding="utf-8") as file:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.WriteLoggerFactory(file),
        )
        try:
            yield
        finally:
            structlog.reset_defaults()


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


def hint(*commands: str, carry: Collection[str] = ()) -> None:
    """Name the next useful commands, so that they can be pasted as they are.

    ``carry`` are options that go on to them as they were given to this one.
    """
    given = "".join(f" {word}" for word in _given(carry))
    for command in commands:
        name, space, rest = command.partition(" ")
        called = _called() if name == _NAME else name
        click.echo(f"Next: {called}{space}{rest}{given}", err=True)


def _called() -> str:
    """Return how this program is called here: by its name, if the shell finds it by that."""
    typed = sys.argv[0]
    is_away = shutil.which(_NAME) is None and Path(typed).name == _NAME
    return shlex.quote(typed) if is_away else _NAME


def _given(options: Collection[str]) -> list[str]:
    """Return those of the options that stood in the command line, as they would again."""
    context = click.get_current_context(silent=True)
    words: list[str] = []
    for parameter in context.command.params if context else ():
        option = parameter.opts[0]
        if context and parameter.name and option in options:
            is_typed = context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
            if is_typed:
                words += [option, shlex.quote(str(context.params[parameter.name]))]
    return words


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings; columns that begin with ">" are numbers, the last may fold.

    Where they need more than the terminal has, it wraps the lines: no part of an id is left out.
    """
    rows = list(rows)
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
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
    console.width = max(console.width, _least_width(columns, rows))
    with console.capture() as captured:
        console.print(made, soft_wrap=False)
    for line in captured.get().splitlines():
        say(line.rstrip())


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return the width that shows every column whole but the last, and a few words of that."""
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    return sum(widths[:-1]) + _GAP * len(widths) + min(widths[-1], _FOLDED)


def second(moment: str | None) -> str:
    """Return a moment of the market's as people read it, in UTC; "" for none."""
    return (moment or "")[:19].replace("T", " ")


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one below the other."""
    listed = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        say(f"{name:<{width}}  {value}")
