"""``market export``: a run's facts as Parquet, for any engine."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import rich_click as click

from market import analytics
from market.cli.facts import run_at
from market.cli.failures import reported
from market.cli.options import json_option
from market.cli.output import emit, hint, say, table
from market.cli.rows import Rows


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("out", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@json_option
@reported
def export(run: str, out: Path, as_json: bool) -> None:
    """Write the facts of RUN (its folder, a market's home, a postgresql:// address) to DIR.

    Each frame becomes Parquet files, FRAME-*.parquet; a market may go on meanwhile. What an
    earlier export to DIR has of the logs is not read again: repeat it to keep DIR up to date.
    """
    with Rows(f"Exporting to {out}") as progress:
        exported = analytics.export(run_at(run), out, told=progress)
    if as_json:
        emit(exported)
        return
    table(
        ("Frame", ">Rows", "Files"),
        [(name, f"{exported.rows[name]:,}", _files(out, parts))
         for name, parts in exported.parts.items()],
    )  # fmt: skip
    say(f"{exported.read:,} rows were read; as of {exported.exported_at}.")
    place = msgspec.json.encode(str(out)).decode()
    program = f"from market import analytics; print(analytics.open({place}))"
    hint(shlex.join([sys.executable, "-c", program]))


def _files(out: Path, parts: Sequence[analytics.Part]) -> str:
    first = str(out / parts[0].file)
    return first if len(parts) == 1 else f"{first} and {len(parts) - 1} more"
