"""``market report``: a run on one page, as pictures, and as JSON."""

import shlex
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import rich_click as click
from rich.progress import TextColumn, TimeRemainingColumn

from market import analytics, audit
from market import report as room
from market.base.database import sqlite_path
from market.cli.bars import Bar
from market.cli.facts import place_of
from market.cli.failures import USAGE, Explained, broken_laws, explain, reported
from market.cli.failures import Report as Reported
from market.cli.local import looking, settings_of
from market.cli.options import json_option
from market.cli.output import emit, hint, say
from market.report import NotInstalled, Plot, Proof

PAGE: Final = "report.html"


@explain.register
def _(error: NotInstalled) -> Explained:
    title = "The libraries that draw are not installed"
    return Explained([Reported("not_installed", title, str(error), "", "")], USAGE)


@click.command()
@click.argument("run", metavar="[RUN]", required=False)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The page.  [default: {PAGE} in the folder of RUN]",
)
@click.option(
    "--png", type=click.Path(path_type=Path, file_okay=False), help="A folder for the plots."
)
@json_option
@reported
def report(run: str | None, out: Path | None, png: Path | None, as_json: bool) -> None:
    """Write what happened in RUN on one page: how far buyers came, why they left, who was paid.

    RUN is the folder of a run or a sweep (default: the one played last), a store (a market's home,
    a postgresql:// address) or an export. The page runs no script and loads nothing. With --json
    the same goes to stdout, and there is a page only with -o. Exit code 5: the store is broken.
    """
    place = place_of(run)
    is_page = out is not None or not as_json
    is_drawn = is_page or png is not None
    if is_drawn:
        room.check()
    with ExitStack() as stack:
        meter = stack.enter_context(Meter(1 + len(room.BLOCKS) * (2 if is_drawn else 1)))
        directory = None
        if "://" in place:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        market = room.market_of(place)
        facts = analytics.open(market, directory=directory)
        meter.tell("Facts")
        made = room.compose(facts, source=place, proof=_proof(market), tell=meter.tell)
        plots = room.plots_of(made, meter.tell) if is_drawn else {}
    written = []
    if is_page:
        written.append(_write(out or _beside(place), room.page(made, plots).encode()))
    if png is not None:
        written += _pictures(plots, png)
    if as_json:
        emit(made)
    else:
        for path in written:
            say(str(path))
        hint(f"market report {shlex.quote(place)} --json")
    if made.head.proof and (broken := made.head.proof.findings):
        raise broken_laws(len(broken), broken[0])


def _proof(place: str) -> Proof | None:
    """Audit the store at ``place``; None if it is an export, or a run that has been proven."""
    settings = settings_of(place)
    if room.run_in(place) or not (settings.store or sqlite_path(settings).is_file()):
        return None
    with looking(settings) as snapshot:
        findings, counted = audit.audit(snapshot), audit.summary(snapshot)
    return Proof(
        findings=[f"{finding.where}: {finding.detail}" for finding in findings],
        postings=counted.postings,
        events=counted.events,
        receipts=counted.receipts,
    )


def _beside(place: str) -> Path:
    path = Path(place)
    if "://" in place or not path.exists():
        return Path(PAGE)
    return (path if path.is_dir() else path.parent) / PAGE


def _pictures(plots: dict[str, Plot], folder: Path) -> list[Path]:
    made = room.pictures_of(plots)
    return [_write(folder / f"{name}.png", picture) for name, picture in made.items()]


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


class Meter(Bar):
    """Shows on a terminal how far a report is, once it takes long: parts done, rate, time left."""

    def __init__(self, parts: int) -> None:
        super().__init__(
            TextColumn("{task.completed} of {task.total} parts, {task.fields[rate]:.1f}/s"),
            TimeRemainingColumn(compact=True),
            description="Report",
            total=parts,
            late=True,
            rate=0.0,
        )
        self._done = 0

    def tell(self, part: str) -> None:
        """Count a part that is done."""
        self._done += 1
        rate = self._done / max(self.seconds, 0.001)
        self.move(self._done, description=part, rate=rate)
