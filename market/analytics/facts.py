"""Facts: the frames of an export, ready for polars."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, overload

import polars as pl

from market.analytics import schema
from market.analytics.exporting import AnyStore, export, stamp_of, store_in, store_of
from market.analytics.parts import Exported, exported_in, scan
from market.analytics.schema import FRAMES, Frame
from market.analytics.source import NoFacts

FOLDER: Final = "facts"
"""Where facts are exported to inside a store's folder."""


class FrameOf:
    """An attribute that is a frame; its docstring tells grain, order, columns, types, units."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.__doc__ = frame.describe()

    @overload
    def __get__(self, facts: None, owner: Any) -> "FrameOf": ...

    @overload
    def __get__(self, facts: "Facts", owner: Any) -> pl.LazyFrame: ...

    def __get__(self, facts: "Facts | None", owner: Any) -> "FrameOf | pl.LazyFrame":
        return self if facts is None else facts[self.frame.name]

    def __set__(self, facts: "Facts", value: Any) -> NoReturn:
        raise AttributeError(f"{self.frame.name} is a frame of facts: it is read, not set")


class Facts:
    """What happened in a market, as polars LazyFrames; ``help(Facts)`` tells their columns.

    Moments are in UTC with microseconds, amounts are integers of minor units, JSON is text.
    """

    events = FrameOf(schema.EVENTS)
    stages = FrameOf(schema.STAGE_ROWS)
    decisions = FrameOf(schema.DECISIONS)
    sightings = FrameOf(schema.SIGHTINGS)
    orders = FrameOf(schema.ORDERS)
    chunks = FrameOf(schema.CHUNKS)
    postings = FrameOf(schema.POSTINGS)
    reviews = FrameOf(schema.REVIEWS)
    recommendations = FrameOf(schema.RECOMMENDATIONS)
    sessions = FrameOf(schema.SESSIONS)
    agents = FrameOf(schema.AGENTS)
    mandates = FrameOf(schema.MANDATES)
    services = FrameOf(schema.SERVICES)
    trust_facts = FrameOf(schema.TRUST_FACTS)
    trust_standings = FrameOf(schema.TRUST_STANDINGS)
    trust_batches = FrameOf(schema.TRUST_BATCHES)

    def __init__(self, frames: Mapping[str, pl.LazyFrame]) -> None:
        """Take frames as they are; those that are not given are empty."""
        self._frames = {
            name: frames.get(name, pl.LazyFrame(schema=frame.schema))
            for name, frame in FRAMES.items()
        }

    def __getitem__(self, name: str) -> pl.LazyFrame:
        return self._frames[name]


def open_facts(source: AnyStore, *, directory: Path | None = None) -> Facts:
    """Return the facts of an export, a run or a store.

    ``source`` is a folder that ``export`` wrote; or a store: a run's or a market's folder, its
    ``market.db``, settings, an open ``Store``, or a ``postgresql://`` address. A store is exported
    first, to ``directory``, or else to the folder ``facts`` beside its SQLite file; if nothing has
    changed there since the last export, that one is used.

    Raises:
        NoFacts: there is neither, or an address needs a ``directory``.
    """
    if isinstance(source, Path) or (isinstance(source, str) and "://" not in source):
        folder = Path(source)
        if found := exported_in(folder):
            return _facts(folder, found)
        beside = folder / FOLDER
        if (found := exported_in(beside)) and not store_in(folder).exists():
            return _facts(beside, found)
    return _exported(store_of(source), directory)


def _exported(store: Path | str, directory: Path | None) -> Facts:
    if directory is None:
        if isinstance(store, str):
            raise NoFacts("Name a directory to export the facts of a PostgreSQL store to.")
        directory = store.parent / FOLDER
    known = exported_in(directory)
    if known is None or not known.stamp or known.stamp != stamp_of(store):
        known = export(store, directory)
    return _facts(directory, known)


def _facts(directory: Path, exported: Exported) -> Facts:
    frames = FRAMES.items()
    return Facts({name: scan(directory, frame, exported.parts[name]) for name, frame in frames})
