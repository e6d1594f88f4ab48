"""The export: a store's facts as Parquet files, one per frame, and a note of what they hold."""

from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from market.analytics import derived, schema
from market.analytics.schema import FRAMES, Frame
from market.analytics.source import NoFacts, Source, opened
from market.analytics.tables import SELECTS, as_declared, sql_of
from market.base.clock import SystemClock, rfc3339
from market.base.database import sqlite_path
from market.base.settings import Settings
from market.base.store import Store

FORMAT: Final = 3
"""The version of the files; an export of another version is made anew."""

NOTE: Final = "export.json"
ROW_GROUP: Final = 10_000
"""Rows that are held in memory at once, about."""

AnyStore = Store | Settings | Path | str
"""A store: open, by its settings, by its folder or SQLite file, by its PostgreSQL address."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export holds: rows by frame, seen at one moment.

    ``stamp`` tells whether a SQLite file has changed since; it is "" for PostgreSQL.
    """

    format: int
    exported_at: str
    stamp: str
    rows: dict[str, int]


def export(store: AnyStore, directory: Path) -> Exported:
    """Write every frame of ``schema.FRAMES`` to ``directory``, as of one moment.

    Files of an earlier export there are replaced, once all of the new ones are whole. Events pass
    through in batches, however many there are; a market may go on writing meanwhile.

    Raises:
        NoFacts: there is no store.
    """
    found = store_of(store)
    stamp = stamp_of(found)
    exported_at = rfc3339(SystemClock().now())
    directory.mkdir(parents=True, exist_ok=True)
    with opened(found) as source:
        for name in SELECTS:
            _export_table(source, FRAMES[name], directory)
    _export_derived(directory)
    rows = {name: _rows(_part(directory, frame)) for name, frame in FRAMES.items()}
    exported = Exported(format=FORMAT, exported_at=exported_at, stamp=stamp, rows=rows)
    for frame in FRAMES.values():
        _part(directory, frame).replace(file_of(directory, frame))
    (directory / NOTE).write_bytes(msgspec.json.format(msgspec.json.encode(exported)) + b"\n")
    return exported


def exported_in(directory: Path) -> Exported | None:
    """Return what the export in a folder holds, or None if there is none of this version."""
    try:
        found = msgspec.json.decode((directory / NOTE).read_bytes(), type=Exported)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.format == FORMAT else None


def file_of(directory: Path, frame: Frame) -> Path:
    """Return the Parquet file of a frame."""
    return directory / f"{frame.name}.parquet"


def store_of(store: AnyStore) -> Path | str:
    """Return the SQLite file of a store, or its PostgreSQL address.

    Raises:
        NoFacts: there is none.
    """
    if isinstance(store, Store):
        store = store.settings
    if isinstance(store, Settings):
        return store.store or sqlite_path(store)
    if isinstance(store, str) and store.startswith("postgresql://"):
        return store
    path = Path(store)
    file = store_in(path) if path.is_dir() else path
    if not file.is_file():
        raise NoFacts(f"{path} has neither facts ({NOTE}) nor a store ({file.name}).")
    return file


def store_in(folder: Path) -> Path:
    """Return the SQLite file that a market keeps in its folder."""
    return sqlite_path(Settings(home=folder))


def scan(file: Path) -> pl.LazyFrame:
    """Return a Parquet file as a frame."""
    return pl.scan_parquet(file.absolute(), glob=False)


def stamp_of(store: Path | str) -> str:
    """Return a text that differs after every change of a SQLite file; "" for PostgreSQL."""
    if isinstance(store, str):
        return ""
    log = store.with_name(f"{store.name}-wal")
    # A reader leaves an empty log behind: that is no change.
    facts = [file.stat() for file in (store, log) if file.exists()]
    return " ".join(f"{fact.st_size}:{fact.st_mtime_ns}" for fact in facts if fact.st_size)


def _export_table(source: Source, frame: Frame, directory: Path) -> None:
    with source.rows(sql_of(frame, source.dialect)) as rows:
        _write(as_declared(rows, frame), frame, directory)


def _export_derived(directory: Path) -> None:
    table = {name: scan(_part(directory, FRAMES[name])) for name in SELECTS}
    decided = derived.decisions(table["events"], table["services"])
    _write(decided, schema.DECISIONS, directory)
    _write(derived.sightings(table["events"]), schema.SIGHTINGS, directory)
    staged = derived.stages(
        table["sessions"],
        scan(_part(directory, schema.DECISIONS)),
        table["events"],
        table["orders"],
    )
    _write(staged, schema.STAGE_ROWS, directory)


def _write(rows: pl.LazyFrame, frame: Frame, directory: Path) -> None:
    rows.sink_parquet(_part(directory, frame), compression="zstd", row_group_size=ROW_GROUP)


def _part(directory: Path, frame: Frame) -> Path:
    return directory / f"{frame.name}.parquet.part"


def _rows(file: Path) -> int:
    return int(scan(file).select(pl.len()).collect().item())
