"""When a run or a sweep was played, as its own notes say: not when its folder was touched."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from market.base.clock import SystemClock, rfc3339
from market.report.runs import RUN_FILE, SINGLE_FILE, SWEEP_FILE


class _Note(msgspec.Struct, frozen=True):
    """What the notes of runs and sweeps have in common."""

    played_at: str = ""


_NOTES: Final = (SINGLE_FILE, SWEEP_FILE)


def now() -> str:
    """Return this moment as notes have it: RFC 3339, in UTC."""
    return rfc3339(SystemClock().now())


def played_at(folder: Path) -> str:
    """Return when what is in a folder was played last, in RFC 3339.

    Of a run that has no note of that it is when its result was written, else the folder.
    """
    for name in _NOTES:
        try:
            moment = msgspec.json.decode((folder / name).read_bytes(), type=_Note).played_at
        except (OSError, msgspec.DecodeError):
            continue
        if moment:
            return moment
    result = folder / RUN_FILE
    written = (result if result.is_file() else folder).stat().st_mtime
    return rfc3339(datetime.fromtimestamp(written, UTC))
