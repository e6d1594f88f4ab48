"""What an export is made of: Parquet files, each a range of its frame's key, and a note of them.

A file is never changed. What is new goes into files under new names; when all of them are whole the
note is replaced, and only then go those files that it no longer names. So whoever goes by the note
sees one moment, also after a crash between any two of these steps.
"""

import fcntl
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from market.analytics.schema import FRAMES, Frame

FORMAT: Final = 6
"""The version of the files; an export of another version is made anew."""

NOTE: Final = "export.json"
LOCK: Final = ".export.lock"
ROW_GROUP: Final = 16_384
"""Rows of a file that are held in memory at once, and found or skipped as one."""

PART_ROWS: Final = 500_000
"""Rows at which the last partition is cut, about. Earlier ones grow only as their owners do."""

Told = Callable[[int, int], None]
"""Hears how many rows have been read from the store, and of how many."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a frame. It holds the keys from ``first`` up to the ``first`` of the next part.

    ``last`` is the highest value of the key's first column, "" in a file without rows.
    """

    file: str
    rows: int
    first: str
    last: str


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export holds: rows and files by frame, seen at one moment.

    ``read`` counts the rows that were read from the store, ``files`` all that were ever written.
    ``stamp`` tells whether a SQLite file has changed since; it is "" for PostgreSQL.
    """

    format: int
    exported_at: str
    stamp: str
    rows: dict[str, int]
    parts: dict[str, list[Part]]
    read: int
    files: int


def exported_in(directory: Path) -> Exported | None:
    """Return what the export in a folder holds, or None if there is none of this version."""
    try:
        found = msgspec.json.decode((directory / NOTE).read_bytes(), type=Exported)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.format == FORMAT else None


def scan(directory: Path, frame: Frame, parts: Sequence[Part]) -> pl.LazyFrame:
    """Return a frame out of its parts."""
    return _scan(frame, [directory / part.file for part in parts])


def _scan(frame: Frame, files: Sequence[Path]) -> pl.LazyFrame:
    if not files:
        return pl.LazyFrame(schema=frame.schema)
    return pl.scan_parquet([file.absolute() for file in files], glob=False)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Make a folder, and keep other exports from it meanwhile."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Folder:
    """A folder while an export is written to it: the parts of the one before, and the new ones."""

    def __init__(
        self,
        directory: Path,
        before: Exported | None,
        told: Told | None = None,
        *,
        files: int = 0,
    ) -> None:
        """Begin to write: behind ``before``, or anew behind so many files under other names."""
        self.directory = directory
        self.before = before
        self.parts: dict[str, list[Part]] = {}
        self.read = 0
        self.all = 0
        self._told = told
        self._files = before.files if before else files
        self._written: set[str] = set()

    def old(self, frame: Frame) -> list[Part]:
        """Return the parts of a frame that the export before wrote."""
        return self.before.parts[frame.name] if self.before else []

    def scan(self, frame: Frame) -> pl.LazyFrame:
        """Return a frame as far as it is written."""
        return self.of(frame, self.parts[frame.name])

    def of(self, frame: Frame, parts: Sequence[Part]) -> pl.LazyFrame:
        """Return the rows of some parts, old or new."""
        return _scan(frame, [self._place(part.file) for part in parts])

    def expect(self, rows: int) -> None:
        """Say that so many rows more will be read."""
        self.all += rows
        self._tell()

    def counted(self, rows: pl.LazyFrame, frame: Frame) -> pl.LazyFrame:
        """Return rows as they are, and count them while they are read from the store."""
        return rows.map_batches(self._count, schema=frame.schema, streamable=True)

    def add(self, rows: pl.LazyFrame, frame: Frame, *, first: str = "") -> Part:
        """Write rows, which are sorted, as the next part of a frame."""
        self._files += 1
        name = f"{frame.name}-{self._files:06}.parquet"
        self._written.add(name)
        file = self._place(name)
        rows.sink_parquet(
            file,
            compression="zstd",
            compression_level=1,
            row_group_size=ROW_GROUP,
            sync_on_close="data",
        )
        key = pl.scan_parquet(file.absolute(), glob=False).select(frame.key[0])
        count, last = key.select(pl.len(), pl.last(frame.key[0])).collect().row(0)
        part = Part(file=name, rows=count, first=first, last=last or "")
        self.keep(frame, part)
        return part

    def keep(self, frame: Frame, part: Part) -> None:
        """Take a part of the export before, as it is, for the next part of a frame."""
        self.parts.setdefault(frame.name, []).append(part)

    def close(self, *, exported_at: str, stamp: str) -> Exported:
        """Put the new parts in the place of the old."""
        exported = Exported(
            format=FORMAT,
            exported_at=exported_at,
            stamp=stamp,
            rows={name: sum(part.rows for part in self.parts[name]) for name in FRAMES},
            parts={name: self.parts[name] for name in FRAMES},
            read=self.read,
            files=self._files,
        )
        for name in sorted(self._written):
            self._place(name).replace(self.directory / name)
        note = self.directory / f"{NOTE}.part"
        note.write_bytes(msgspec.json.format(msgspec.json.encode(exported)) + b"\n")
        note.replace(self.directory / NOTE)
        self._clear({part.file for parts in self.parts.values() for part in parts})
        return exported

    def _place(self, name: str) -> Path:
        """Return where a file is until the export ends: a new one has another name so long."""
        return self.directory / (f"{name}.part" if name in self._written else name)

    def _clear(self, kept: set[str]) -> None:
        """Remove what earlier exports left, finished or not, of this version or another."""
        ours = re.compile(rf"(?:{'|'.join(FRAMES)})(?:-\d+)?\.parquet(?:\.part)?")
        for file in self.directory.iterdir():
            if ours.fullmatch(file.name) and file.name not in kept:
                file.unlink()

    def _count(self, rows: pl.DataFrame) -> pl.DataFrame:
        self.read += rows.height
        self._tell()
        return rows

    def _tell(self) -> None:
        if self._told:
            self._told(self.read, self.all)
