"""The export: a store's facts as Parquet files, and a note of what they hold."""

from pathlib import Path
from typing import Final

from market.analytics.growing import expect_whole, grow_logs, grow_marked, planned
from market.analytics.owners import Parted
from market.analytics.parts import NOTE, Exported, Folder, Told, alone, exported_in
from market.analytics.schema import FRAMES
from market.analytics.source import NoFacts, Source, opened
from market.analytics.statements import as_declared, sql_of
from market.analytics.tables import MARKS, OWNED, SELECTS
from market.base.clock import SystemClock, rfc3339
from market.base.database import sqlite_path
from market.base.settings import Settings
from market.base.store import Store

AnyStore = Store | Settings | Path | str
"""A store: open, by its settings, by its folder or SQLite file, by its PostgreSQL address."""

_WHOLE: Final = [FRAMES[name] for name in SELECTS if name not in {*OWNED, *MARKS}]
"""Tables whose rows change: they are read anew each time."""


def export(store: AnyStore, directory: Path, *, told: Told | None = None) -> Exported:
    """Write every frame of ``schema.FRAMES`` to ``directory``, as of one moment.

    Of an earlier export there only what is new is read, as far as logs go (events, delivered
    parts, postings, facts of trust). Its files are replaced once all of the new ones are whole.
    Rows pass through in batches, however many there are; a market may go on writing meanwhile.
    ``told`` hears how many rows have been read, and of how many.

    Raises:
        NoFacts: there is no store.
    """
    found = store_of(store)
    stamp = stamp_of(found)
    exported_at = rfc3339(SystemClock().now())
    with alone(directory), opened(found) as source:
        before = exported_in(directory)
        folder = Folder(directory, before, told)
        try:
            _fill(folder, source)
        except Parted:
            folder = Folder(directory, None, told, files=before.files if before else 0)
            _fill(folder, source)
        return folder.close(exported_at=exported_at, stamp=stamp)


def _fill(folder: Folder, source: Source) -> None:
    for frame in _WHOLE:
        expect_whole(source, folder, frame)
    for frame in _WHOLE:
        with source.rows(sql_of(frame, source.dialect)) as rows:
            folder.add(folder.counted(as_declared(rows, frame), frame), frame)
    grow_logs(source, folder, planned(source, folder))
    for name in MARKS:
        grow_marked(source, folder, FRAMES[name])


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


def stamp_of(store: Path | str) -> str:
    """Return a text that differs after every change of a SQLite file; "" for PostgreSQL."""
    if isinstance(store, str):
        return ""
    log = store.with_name(f"{store.name}-wal")
    # A reader leaves an empty log behind: that is no change.
    facts = [file.stat() for file in (store, log) if file.exists()]
    return " ".join(f"{fact.st_size}:{fact.st_mtime_ns}" for fact in facts if fact.st_size)
