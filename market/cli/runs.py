"""``market runs``: what was played, and how two runs, or two settings of one sweep, differ."""

import shlex
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click
from rich.progress import MofNCompleteColumn, TimeRemainingColumn

from market import analytics
from market.analytics import Replica
from market.cli.bars import Bar
from market.cli.facts import RUNS
from market.cli.failures import reported
from market.cli.options import json_option, limit_option
from market.cli.output import emit, hint, say, second, table
from market.cli.runfolders import Kept, LeftOut, Played, kept_in, left_out_at, replicas_at
from market.protocol.money import EXPONENTS
from market.report.runs import left_out

_FEW: Final = 3
"""Fewer replicas than these of a side make an interval that hardly says anything."""


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """What ``market runs diff --json`` writes: the runs, and a row of ``compare`` per metric.

    ``left_out`` are runs of both sides that tested nothing: no metric counts them.
    """

    before: list[Played]
    after: list[Played]
    left_out: list[LeftOut]
    metrics: list[dict[str, Any]]


@click.command()
@click.option(
    "--in",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=RUNS,
    show_default=True,
    help="The folder that the runs' folders are in.",
)
@limit_option
@json_option
@reported
def list_runs(parent: Path, limit: int, as_json: bool) -> None:
    """List runs and sweeps, newest first: how many expectations they met, and how they ended."""
    found = kept_in(parent)[:limit]
    if as_json:
        emit(found)
        return
    columns = ("Folder", "Story", ">Seed", ">Runs", ">Journeys", ">Met", "State", "Played (UTC)")
    table(columns, [_listed(kept) for kept in found])
    hint(shlex.join(_next(found)))


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--all", "is_all", is_flag=True, help="Also what does not differ.")
@json_option
@reported
def diff(before: str, after: str, is_all: bool, as_json: bool) -> None:
    """Tell how B differs from A, metric by metric.

    A and B are folders, or names of folders in runs/: of a run, of a sweep of one setting, or of
    one of its cells. Several replicas on both sides give each difference a 95 % interval; under the
    same seeds they are compared pair by pair.
    """
    sides = [replicas_at(before), replicas_at(after)]
    skipped = [left_out_at(before), left_out_at(after)]
    opened = _opened(sides)
    found = analytics.compare(opened[0], opened[1])
    rows = found.to_dicts()
    if as_json:
        both = [one for side in skipped for one in side]
        emit(Diff(before=sides[0], after=sides[1], left_out=both, metrics=rows))
        return
    _say_what(sides, rows)
    for name, side, bad in zip("AB", sides, skipped, strict=True):
        if said := left_out([one.detail for one in bad], len(side) + len(bad)):
            say(f"{name}: {said}")
    shown = rows if is_all else [row for row in rows if row["difference"] != 0.0]
    columns = ("Metric", "Of", ">A", ">B", ">B - A", ">from", ">to", "Clear")
    table(columns, [_told(row) for row in shown])
    if len(shown) < len(rows):
        say(f"{len(rows) - len(shown)} more do not differ (--all).")
    hint(shlex.join(["market", "report", sides[1][0].folder]))


def _next(found: Sequence[Kept]) -> list[str]:
    """Return the command to go on with: a comparison that makes sense, or else a report."""
    if not found:
        return ["market", "run", "scenarios/first_purchase.toml"]
    newest = found[0]
    if newest.settings == 1 and newest.done:
        like = [one for one in found[1:] if (one.name, one.settings) == (newest.name, 1)]
        before = next((one.folder for one in like if one.done), None)
        if before:
            return ["market", "runs", "diff", before, newest.folder]
    return ["market", "report", newest.folder]


def _listed(kept: Kept) -> tuple[str, ...]:
    return (
        kept.folder,
        kept.name,
        "" if kept.seed is None else str(kept.seed),
        f"{kept.done} of {kept.runs}" + (f", {kept.bad} bad" if kept.bad else ""),
        str(kept.journeys),
        f"{kept.passed} of {kept.expectations}",
        kept.state,
        second(kept.played_at),
    )


def _opened(sides: Sequence[Sequence[Played]]) -> list[list[Replica]]:
    """Open the facts of all runs; on a terminal, a bar says how far that is."""
    columns = (MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    count = sum(map(len, sides))
    opened: list[list[Replica]] = [[] for _ in sides]
    with Bar(*columns, description="Facts of the runs", total=count, late=count <= 2) as bar:
        for side, replicas in zip(sides, opened, strict=True):
            for one in side:
                replicas.append(Replica(analytics.open(one.folder), one.seed))
                bar.move(sum(map(len, opened)))
    return opened


def _say_what(sides: Sequence[Sequence[Played]], rows: Sequence[dict[str, Any]]) -> None:
    counts = [f"{len(side)} run{'s' if len(side) > 1 else ''}" for side in sides]
    is_paired = any(row["method"] == "paired t" for row in rows)
    how = "paired by seed" if is_paired else "not under the same seeds"
    say(f"A: {counts[0]}, B: {counts[1]}, {how}.")
    if min(map(len, sides)) == 1:
        say("One run tells nothing about chance: play more with --replicas.")
    elif min(map(len, sides)) < _FEW:
        say("Two replicas make wide intervals: play more with --replicas.")


def _told(row: dict[str, Any]) -> tuple[str, ...]:
    numbers = [
        "" if row[name] is None else _number(row[name], row, is_signed=name not in _SIDES)
        for name in (*_SIDES, "difference", "low", "high")
    ]
    clear = {True: "yes", False: "no", None: ""}[row["is_clear"]]
    about = row["subject"] or ""
    return (row["metric"], about, *numbers, clear)


_SIDES: Final = ("before", "after")


def _number(value: float, row: dict[str, Any], *, is_signed: bool) -> str:
    """Return a number as people write it: a count, a share in percent, seconds, an amount."""
    sign = "+" if is_signed else ""
    match row["unit"]:
        case "share":
            return f"{100 * value:{sign}.1f} %"
        case "seconds":
            return f"{value:{sign}.3f} s"
        case "minor":
            currency = row["currency"]
            if currency not in EXPONENTS:
                return f"{value:{sign}.1f} {currency} (minor units)"
            amount = Decimal(value).scaleb(-EXPONENTS[currency])
            return f"{amount:{sign}.{min(4, EXPONENTS[currency])}f} {currency}"
    return f"{value:{sign}.1f}".removesuffix(".0")
