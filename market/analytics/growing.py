"""Logs into an export: what is new is read from the store, the rest stays or comes from the files.

What is derived from the events of a session is made anew for those sessions alone of which
something is new.
"""

from typing import Final, NamedTuple

import polars as pl

from market.analytics import deciding, derived, schema
from market.analytics.owners import orders_of, sessions_of
from market.analytics.parts import PART_ROWS, Folder
from market.analytics.ranges import Range, ranges
from market.analytics.schema import Frame
from market.analytics.source import Source
from market.analytics.statements import Wanted, as_declared, count_of, sql_of
from market.analytics.tables import MARKS

DERIVED: Final = (schema.DECISIONS, schema.SIGHTINGS, schema.STAGE_ROWS)
REREAD: Final = 1_000
"""Last rows of a table that are read again: of several workers, one may commit behind another."""


class Plan(NamedTuple):
    """Which ranges of sessions and of orders make the parts of their logs."""

    sessions: list[Range]
    orders: list[Range]


def planned(source: Source, folder: Folder) -> Plan:
    """Return what is to be read of the logs, when sessions and orders are written.

    Raises:
        Parted: what was exported before is not the beginning of what the store has.
    """
    plan = Plan(
        ranges(sessions_of(source, folder), folder.old(schema.EVENTS), PART_ROWS),
        ranges(orders_of(folder), folder.old(schema.CHUNKS), PART_ROWS),
    )
    folder.expect(sum(some.new_rows for some in [*plan.sessions, *plan.orders]))
    return plan


def grow_logs(source: Source, folder: Folder, plan: Plan) -> None:
    """Write the events, what is derived from them, and the delivered parts of orders."""
    for some in plan.sessions:
        _grow(source, folder, schema.EVENTS, some)
        _derive(folder, some)
    for some in plan.orders:
        _grow(source, folder, schema.CHUNKS, some)


def grow_marked(source: Source, folder: Folder, frame: Frame) -> None:
    """Write a table that only grows: its rows behind a mark, and the old ones up to there.

    If the count of all is another then, a row became visible later than those behind the mark
    were read: the table is read anew.
    """
    mark = MARKS[frame.name].name
    old = folder.of(frame, folder.old(frame))
    last = old.select(pl.col(mark).top_k(REREAD).min()).collect().item()
    count = _count(source, frame)
    if last is not None:
        statement = sql_of(frame, source.dialect, after=last)
        with source.rows(statement) as rows:
            kept = old.filter(pl.col(mark) <= last)
            merged = kept.merge_sorted(_new(rows, folder, frame), frame.key)
            if folder.add(merged, frame).rows == count:
                return
        folder.parts[frame.name].clear()
    folder.expect(count)
    with source.rows(sql_of(frame, source.dialect)) as rows:
        folder.add(_new(rows, folder, frame), frame)


def expect_whole(source: Source, folder: Folder, frame: Frame) -> None:
    """Count the rows of a table that is going to be read from its first row on."""
    folder.expect(_count(source, frame))


def _count(source: Source, frame: Frame) -> int:
    with source.rows(count_of(frame, source.dialect)) as rows:
        return int(rows.collect().item())


def _new(rows: pl.LazyFrame, folder: Folder, frame: Frame) -> pl.LazyFrame:
    return folder.counted(as_declared(rows, frame), frame)


def _grow(source: Source, folder: Folder, frame: Frame, some: Range) -> None:
    """Write one part of a log, or keep the one that there is."""
    before = folder.old(frame)
    if some.kept is not None:
        folder.keep(frame, before[some.kept])
        return
    old = folder.of(frame, some.overlapping(before)).filter(some.has(frame.key[0]))
    if not some.new_rows:
        folder.add(old, frame, first=some.first)
        return
    how: Wanted = "between" if some.is_fresh else "from"
    with source.rows(sql_of(frame, source.dialect, owned=some.wanted, how=how)) as rows:
        new = _new(rows, folder, frame)
        merged = new if some.is_fresh else old.merge_sorted(new, frame.key)
        folder.add(merged, frame, first=some.first)


def _derive(folder: Folder, some: Range) -> None:
    """Write the parts that are derived from the last part of the events, or keep them."""
    changed = some.changed
    if some.kept is not None and changed.is_empty():
        for frame in DERIVED:
            folder.keep(frame, folder.old(frame)[some.kept])
        return
    is_new = pl.col("session_id").is_in(changed.implode())
    is_all = len(changed) == some.owners.height
    events = folder.of(schema.EVENTS, folder.parts["events"][-1:])
    sessions = folder.scan(schema.SESSIONS).filter(some.has("session_id"))
    orders = folder.scan(schema.ORDERS).filter(some.has("session_id"))
    if not is_all:
        events, sessions = events.filter(is_new), sessions.filter(is_new)
    for frame in DERIVED:
        if frame is schema.DECISIONS:
            made = deciding.decisions(events, folder.scan(schema.SERVICES))
        elif frame is schema.SIGHTINGS:
            made = derived.sightings(events)
        else:
            decided = folder.of(schema.DECISIONS, folder.parts["decisions"][-1:])
            if not is_all:
                decided = decided.filter(is_new)
            made = derived.stages(sessions, decided, events, orders)
        if not is_all:
            before = folder.of(frame, some.overlapping(folder.old(frame)))
            rest = before.filter(some.has("session_id"), ~is_new)
            made = rest.merge_sorted(made, "session_id", maintain_order=True)
        folder.add(made, frame, first=some.first)
