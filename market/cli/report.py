"""A run when it is over: journeys, funnel, expectations, proof."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from market.cli.journeys import print_journeys, print_sellers, times
from market.cli.output import marked, say, table
from market.cli.progress import OVER
from market.cli.timeline import STAGE_NAMES
from market.protocol.money import decimal_text
from scenarios.engine.result import (
    ExpectationResult,
    FaultResult,
    FunnelRow,
    RunResult,
    WatcherResult,
    WorkResult,
)

_BAR: Final = 24
_PEOPLE: Final = 4
"""So many of those to whom a fault happened are named."""

_MARKS: Final = {"passed": "✓", "failed": "✗", "warned": "!"}
_RUN_MARKS: Final = {"done": "✓", "cancelled": "■", "failed": "✗"}


def print_report(result: RunResult, *, every_journey: bool = False) -> None:
    """Print a whole run for people; of many journeys a table, or ``every_journey`` by itself."""
    partial = "   partial" if result.is_interrupted else ""
    played = f"{result.events} events in {result.seconds:.1f} s"
    say(f"{result.name}   seed {result.seed}   {played}{partial}")
    say()
    print_journeys(result, every_one=every_journey)
    if result.sellers:
        say()
        print_sellers(result, every_one=every_journey)
    if result.watchers:
        say()
        say("Devices")
        _watchers(result.watchers)
    if result.runs:
        say()
        say("Sub-agents")
        _runs(result.runs)
    if result.faults or result.notes:
        say()
        say("Faults")
        _faults(result.faults)
        for note in result.notes:
            marked("●", note)
    if len(result.journeys) != 1:
        say()
        say("Funnel")
        _funnel(result.funnel)
    if result.expectations:
        say()
        say("Expectations, as far as it came" if result.is_interrupted else "Expectations")
        _expectations(result.expectations)
    say()
    _proof(result)


def _watchers(watchers: Sequence[WatcherResult]) -> None:
    rows = []
    for one in watchers:
        live = f"#{one.first} to #{one.first + one.entries - 1}" if one.entries else "nothing live"
        got = f"snapshot, {live}" if one.first else live
        same = f"✗ {one.differences} differ" if one.differences else "✓ same bytes"
        cut = f"cut {times(one.cut)}, went on {times(one.resumed)}" if one.cut else ""
        rows.append((one.name, one.who, OVER[one.over], got, same, cut))
    table(("Device", "Whose", "Over", "Got", "As the log", ""), rows)


def _faults(faults: Sequence[FaultResult]) -> None:
    """Print each kind of fault: how often it happened, and to whom."""
    if not faults:
        return
    rows = []
    for kind, whose in groupby(faults, key=lambda one: one.kind):
        counts = {one.who: one.times for one in whose}
        people = [who if times == 1 else f"{who} ({times})" for who, times in counts.items()]
        more = len(people) - _PEOPLE
        listed = ", ".join(people[:_PEOPLE]) + (f" and {more} more" if more > 0 else "")
        rows.append((kind, str(sum(counts.values())), listed))
    table(("Fault", ">Happened", "To"), rows)


def _runs(runs: Sequence[WorkResult]) -> None:
    for one in runs:
        again = one.attempts - one.steps
        repeated = f", {again} of them done again" if again else ""
        mark = _RUN_MARKS.get(one.outcome, "●")
        marked(mark, f"{one.run}, written by {one.by}: {one.title}")
        steps = f"{one.steps} {'step' if one.steps == 1 else 'steps'}{repeated}"
        detail = f": {one.detail}" if one.detail else ""
        say(f"    {steps}; {one.outcome or 'not over'}{detail}")


def _funnel(rows: Sequence[FunnelRow]) -> None:
    entered = max(row.reached for row in rows) or 1
    lines = []
    for row in rows:
        share = round(_BAR * row.passed / entered)
        reason, count = next(iter(row.reasons.items()), ("", 0))
        lines.append(
            (
                STAGE_NAMES[row.stage],
                str(row.reached),
                str(row.passed),
                str(row.left),
                str(row.open),
                f"{100 * row.passed / row.reached:.0f}%" if row.reached else "",
                "█" * share + "░" * (_BAR - share),
                f"{reason} ({count})" if reason else "",
            )
        )
    table(
        ("Stage", ">Reached", ">Passed", ">Left", ">Open", ">Step", "", "Top reason to leave"),
        lines,
    )


def _expectations(expectations: Sequence[ExpectationResult]) -> None:
    for one in expectations:
        marked(_MARKS[one.status], one.title)
        if one.status != "passed" and (asked := _asked(one)):
            say(f"    {asked}")
        found = ", ".join(f"{source} = {value}" for source, value in one.observed.items())
        say(f"    {found}")
    counts: Counter[str] = Counter(one.status for one in expectations)
    say(", ".join(f"{counts[status]} {status}" for status in _MARKS if counts[status]))


def _asked(one: ExpectationResult) -> str:
    """Return what does not hold, where its name hides it, and the line that it stands in."""
    that = "" if one.that == one.title else one.that
    where = f"({one.where})" if one.where else ""
    return f"{that}   {where}".strip()


def _proof(result: RunResult) -> None:
    proven = result.proven
    for finding in result.findings:
        marked("✗", f"broken: {finding}")
    if not result.findings:
        held = sum(money.escrows_minor for money in proven.money)
        receipts = "1 receipt holds" if proven.receipts == 1 else f"{proven.receipts} receipts hold"
        marked(
            "✓",
            f"proven from the store: {proven.postings} postings sum to zero, {proven.events} log"
            f" entries chain, {receipts},"
            f" {decimal_text(held, result.currency)} {result.currency} still in escrow",
        )
    if result.is_interrupted:
        marked("●", "this is partial: it was interrupted before the end")
    elif not result.is_over:
        marked("●", "not every journey was over when the run ended")
