"""``market trust lab``: attacks on simulated markets, under the market's own rule and others."""

import shlex
import sys
from pathlib import Path
from typing import Final

import rich_click as click

from market import lab as room
from market.cli.failures import INTERRUPTED, broken_laws, reported
from market.cli.labtelling import Meter, print_report
from market.cli.options import json_option
from market.cli.output import emit, hint, silence
from market.lab import ALGORITHMS, ATTACKS, COMPARED, Cell, Plan, Played

SCALE: Final = 0.2
SEEDS: Final = 3
DAYS_FILE: Final = "days.parquet"
RANKS_FILE: Final = "ranks.parquet"
_FAILED: Final = 1


class Names(click.ParamType[tuple[str, ...]]):
    """Some of a list of names, with commas between; all of them where none is given."""

    name = "names"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names in the order of the list, each once."""
        if isinstance(value, tuple):
            return value
        asked = {name.strip() for name in value.split(",")}
        if unknown := sorted(asked - set(self.known)):
            self.fail(f"{unknown[0]!r} is none of {', '.join(self.known)}", param, ctx)
        return tuple(name for name in self.known if name in asked)


@click.command()
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=1,
    show_default=True,
    help="The first seed.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=SEEDS,
    show_default=True,
    help="How many seeds, one after the other; the table has their means.",
)
@click.option(
    "--attacks",
    type=Names(tuple(ATTACKS)),
    default=tuple(ATTACKS),
    help=f"Some of {', '.join(ATTACKS)}.  [default: all]",
)
@click.option(
    "--algorithms",
    type=Names(tuple(ALGORITHMS)),
    default=COMPARED,
    help=f"Some of {', '.join(ALGORITHMS)}.  [default: {','.join(COMPARED)}]",
)
@click.option(
    "--scale",
    type=click.FloatRange(0.05, 2.0),
    help=f"Size of the markets; 1 is 120 sellers and 300 buyers.  [default: {SCALE}]",
)
@click.option("--full", is_flag=True, help="Full size: --scale 1.")
@click.option(
    "--days",
    type=click.IntRange(12, 1_000),
    default=room.DAYS,
    show_default=True,
    help="Days of each market.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=room.processors(),
    help="Markets that are played at a time.  [default: one for each processor]",
)
@click.option("--expect", is_flag=True, help="Exit code 1 if an expectation is not met.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write every day and every rank to this folder, as Parquet.",
)
@json_option
@reported
def lab(
    seed: int,
    seeds: int,
    attacks: tuple[str, ...],
    algorithms: tuple[str, ...],
    scale: float | None,
    full: bool,
    days: int,
    jobs: int,
    expect: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Attack simulated markets, and compare the market's trust rule with others.

    Every order goes through the market's own verbs, in a store of its own for each market, which
    is audited at the end. The same options give the same numbers, byte for byte in --json. Exit
    code 5: a market broke one of its laws.
    """
    if full and scale is not None:
        raise click.UsageError("Give --full or --scale, not both.")
    silence()
    plan = Plan(scale=1.0 if full else scale or SCALE, days=days)
    cells = room.cells_of(
        plan, attacks=attacks, algorithms=algorithms, seeds=range(seed, seed + seeds)
    )
    played, is_interrupted = _play(cells, jobs)
    report = room.report(plan, played)
    judged = room.judge(report)
    if out is not None:
        _write(out, played)
    if as_json:
        emit({"report": report, "judged": judged})
    else:
        print_report(report, judged)
    if report.findings:
        first = report.findings[0]
        where = f"{first.attack} under {first.algorithm}, seed {first.seed}"
        raise broken_laws(len(report.findings), f"{where}: {first.detail}")
    if not as_json:
        _next(out)
    if is_interrupted:
        sys.exit(INTERRUPTED)
    if expect and not all(one.is_met for one in judged):
        sys.exit(_FAILED)


def _play(cells: list[Cell], jobs: int) -> tuple[list[Played], bool]:
    """Play the cells; an interrupt ends it with those that are over. In the order of the table."""
    played: dict[Cell, Played] = {}
    is_interrupted = False
    with Meter(cells) as meter:
        playing = room.run(cells, jobs=min(jobs, len(cells)), tell=meter.tell)
        try:
            for one in playing:
                played[one.cell] = one
                meter.note(one)
        except KeyboardInterrupt:
            is_interrupted = True
        finally:
            playing.close()
    return [played[cell] for cell in cells if cell in played], is_interrupted


def _write(folder: Path, played: list[Played]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    room.days_frame(played).write_parquet(folder / DAYS_FILE)
    room.ranks_frame(played).write_parquet(folder / RANKS_FILE)


def _next(out: Path | None) -> None:
    if out is None:
        hint("market trust lab --full --seeds 5 --out lab")
    else:
        days = shlex.quote(f"import polars; print(polars.read_parquet('{out / DAYS_FILE}'))")
        hint(f"python -c {days}")
