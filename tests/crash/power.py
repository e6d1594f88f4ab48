"""A disk that loses at a power cut what was not synced, for SQLite files of this process.

``kill -9`` leaves the page cache alone: it cannot tell a store that syncs from one that does not.
So the driver's own SQLite gets a file layer that knows which bytes ``xSync`` was asked to make
safe, and ``Disk.after_a_power_cut`` writes those bytes, and no others, into another folder: the
worst that a power cut may leave. The layer is SQLite's own (https://sqlite.org/vfs.html) with two
methods taken in between; the product opens its files as ever, and knows nothing of it.
"""

import _sqlite3
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_void_p
from pathlib import Path
from typing import Any, Final

_LIBRARY: Final = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
"""The very library that Python's ``sqlite3`` runs on."""

_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)
_Close = CFUNCTYPE(c_int, c_void_p)


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods``, version 3."""

    _fields_ = [
        ("iVersion", c_int),
        ("xClose", _Close),
        ("xRead", c_void_p),
        ("xWrite", c_void_p),
        ("xTruncate", c_void_p),
        ("xSync", _Sync),
        *((f"further_{number}", c_void_p) for number in range(13)),
    ]


class _File(ctypes.Structure):
    """``sqlite3_file``: what follows is the real layer's own."""

    _fields_ = [("pMethods", POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``, version 3."""

    _fields_ = [
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        ("xOpen", _Open),
        *((f"further_{number}", c_void_p) for number in range(14)),
    ]


_LIBRARY.sqlite3_vfs_find.restype = POINTER(_Vfs)
_LIBRARY.sqlite3_vfs_find.argtypes = [c_char_p]
_LIBRARY.sqlite3_vfs_register.argtypes = [c_void_p, c_int]
_LIBRARY.sqlite3_vfs_unregister.argtypes = [c_void_p]


class Disk:
    """What a power cut would leave of every file that was opened since."""

    def __init__(self) -> None:
        self.syncs = 0
        self._real = _LIBRARY.sqlite3_vfs_find(None)
        self._safe: dict[Path, bytes | None] = {}
        self._open_files: dict[int, tuple[Path, Any]] = {}
        self._methods: dict[int, _Methods] = {}
        self._vfs = _Vfs.from_buffer_copy(self._real.contents)
        self._vfs.zName = b"forgetful"
        # SQLite keeps pointers to these; they live as long as this object.
        self._on_open = _Open(self._opened)
        self._on_sync = _Sync(self._synced)
        self._on_close = _Close(self._closed)
        self._vfs.xOpen = self._on_open

    def __enter__(self) -> "Disk":
        _LIBRARY.sqlite3_vfs_register(byref(self._vfs), 1)
        return self

    def __exit__(self, *_: object) -> None:
        _LIBRARY.sqlite3_vfs_register(self._real, 1)
        _LIBRARY.sqlite3_vfs_unregister(byref(self._vfs))
        assert not self._open_files, "close every connection before the disk goes"

    def after_a_power_cut(self, folder: Path) -> Path:
        """Write into ``folder`` what was safe at this moment, and return it."""
        folder.mkdir()
        for path, data in list(self._safe.items()):
            # A file that was removed stays so: SQLite syncs the folder, too.
            if data is not None and path.exists():
                (folder / path.name).write_bytes(data)
        return folder

    def _opened(self, vfs: int, name: int, file: int, flags: int, out: int) -> int:
        path = Path(ctypes.string_at(name).decode()) if name else None
        before = path.read_bytes() if path is not None and path.exists() else None
        code = int(
            self._real.contents.xOpen(ctypes.addressof(self._real.contents), name, file, flags, out)
        )
        opened = _File.from_address(file)
        if code or path is None or not opened.pMethods:
            return code
        # What lay there before anybody opened it has been safe for long.
        self._safe.setdefault(path, before)
        real = opened.pMethods.contents
        place = ctypes.addressof(real)
        if place not in self._methods:
            between = _Methods.from_buffer_copy(real)
            between.xSync, between.xClose = self._on_sync, self._on_close
            self._methods[place] = between
        self._open_files[file] = (path, real)
        opened.pMethods = ctypes.pointer(self._methods[place])
        return code

    def _synced(self, file: int, flags: int) -> int:
        path, real = self._open_files[file]
        code = int(real.xSync(file, flags))
        self.syncs += 1
        self._safe[path] = path.read_bytes()
        return code

    def _closed(self, file: int) -> int:
        _, real = self._open_files.pop(file)
        return int(real.xClose(file))


@contextmanager
def forgetful_disk() -> Iterator[Disk]:
    """Let every SQLite file that is opened within the block lie on such a disk."""
    with Disk() as disk:
        yield disk
