"""The clock of a market that starts: it goes on from the last moment that was recorded."""

from datetime import datetime, timedelta
from typing import Final

import structlog

from market.base.clock import SystemClock, from_micros
from market.base.database import Database, StoreFailed
from market.base.errors import QueryTimedOut
from market.base.readers import Readers

MAX_BEHIND: Final = timedelta(minutes=5)
"""How far a clock that was set back is held: no longer, or nothing would come due for as long."""

_LATEST: Final = (
    "SELECT MAX(recorded_at) FROM "
    "(SELECT recorded_at FROM stream_entries ORDER BY position DESC LIMIT 100) AS latest"
)
"""Of the entries written last; several workers may have written them, each by its own clock."""

log: Final = structlog.get_logger("market.clock")


def resumed_clock(database: Database) -> SystemClock:
    """Return the machine's clock, not earlier than what is recorded in the database.

    If the machine was set back by up to ``MAX_BEHIND``, the clock stands until the machine's has
    caught up. If by more, or if the record is of a time that was wrong, it tells the machine's
    time, and operators are warned. A database that does not answer is not waited for.
    """
    now = SystemClock().now()
    latest = _latest(database)
    if latest is None or latest <= now:
        return SystemClock()
    behind = latest - now
    is_held = behind <= MAX_BEHIND
    log.warning("clock.behind", seconds=behind.total_seconds(), is_held=is_held)
    return SystemClock(latest if is_held else None)


def _latest(database: Database) -> datetime | None:
    readers = Readers(database, takes_turns=False)
    try:
        micros = readers.run(lambda reader: reader.execute(_LATEST).fetchone()[0])
    except (StoreFailed, QueryTimedOut):
        return None
    finally:
        readers.close()
    return None if micros is None else from_micros(micros)
