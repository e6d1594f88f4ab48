"""``market export``: a run's facts as Parquet, for any engine."""

import shlex
import sys
from pathlib import Path

import msgspec
import rich_click as click

from market import analytics
from market.cli.facts import place_of
from market.cli.failures import reported
from market.cli.options import json_option
from market.cli.output import emit, hint, table


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("out", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@json_option
@reported
def export(run: str, out: Path, as_json: bool) -> None:
    """Write the facts of RUN (its folder, a market's home, a postgresql:// address) to DIR.

    One Parquet file for each frame; a market may go on meanwhile.
    """
    exported = analytics.export(place_of(run), out)
    if as_json:
        emit(exported)
        return
    table(
        ("Frame", ">Rows", "File"),
        [(name, str(rows), str(out / f"{name}.parquet")) for name, rows in exported.rows.items()],
    )
    place = msgspec.json.encode(str(out)).decode()
    program = f"from market import analytics; print(analytics.open({place}))"
    hint(shlex.join([sys.executable, "-c", program]))
