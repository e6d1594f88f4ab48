"""Delete and expire: a stream goes, unless forks share its entries; then it waits for them."""

from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update

from market.base import streams
from market.base.caller import Caller
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.rawstreams import linking
from market.rawstreams.rows import (
    alive,
    for_removal,
    has_forks,
    is_lapsed,
    locked,
    locked_by_id,
)
from market.rawstreams.tables import raw_streams

SWEPT_AT_ONCE: Final = 20
"""Streams that one turn of the chore looks after."""

_MOVE: Final = Sql(
    update(raw_streams)
    .where(raw_streams.c.id == bindparam("stream_id"))
    .values(state=bindparam("after"), lapses_at=None)
)
_LAPSED: Final = Sql(
    select(raw_streams.c.id)
    .where(raw_streams.c.lapses_at <= bindparam("now", type_=UtcDateTime()))
    .order_by(raw_streams.c.lapses_at)
    .limit(SWEPT_AT_ONCE)
)
_GONE: Final = Sql(
    select(raw_streams.c.id)
    .where(raw_streams.c.state == "gone")
    .order_by(raw_streams.c.id)
    .limit(SWEPT_AT_ONCE)
)
_REMOVE: Final = Sql(delete(raw_streams).where(raw_streams.c.id == bindparam("stream_id")))


def remove(uow: UnitOfWork, *, caller: Caller | None, path: str) -> None:
    """Delete a stream. While forks share its entries it is kept for them, and for them alone.

    Raises:
        StreamNotFound: there is none of the caller's.
        StreamDeleted: it was deleted before, and still has forks.
    """
    there = locked(uow, path=path)
    if there is not None:
        for_removal(there, caller)
    row = alive(uow, there)
    if has_forks(uow, stream_id=row.id):
        _keep_for_forks(uow, row)
    else:
        give_up(uow, row)


def give_up(uow: UnitOfWork, row: Any) -> None:
    """Free a stream's path, and the sources above it that were kept for it alone."""
    going: Any | None = row
    while going is not None:
        uow.run(_MOVE, stream_id=going.id, after="gone")
        linking.leave(uow, stream_id=going.id)
        uow.ring(going.id, [])
        source_id = going.source_id
        going = None if source_id is None else locked_by_id(uow, stream_id=source_id)
        if going is not None and (_is_live(uow, going) or has_forks(uow, stream_id=going.id)):
            return


def sweep(uow: UnitOfWork) -> int:
    """End streams whose time is over, and remove a slice of what is gone; return how many."""
    done = 0
    for lapsed in uow.all(_LAPSED, now=uow.now):
        row = locked_by_id(uow, stream_id=lapsed.id)
        if row is None or not is_lapsed(row, uow.now):
            continue
        if has_forks(uow, stream_id=row.id):
            _keep_for_forks(uow, row)
        else:
            give_up(uow, row)
        done += 1
    for gone in uow.all(_GONE):
        done += 1
        if not streams.remove(uow, stream_id=gone.id):
            break
        uow.run(_REMOVE, stream_id=gone.id)
    return done


def _is_live(uow: UnitOfWork, row: Any) -> bool:
    return bool(row.state == "live" and not is_lapsed(row, uow.now))


def _keep_for_forks(uow: UnitOfWork, row: Any) -> None:
    uow.run(_MOVE, stream_id=row.id, after="deleted")
    linking.leave(uow, stream_id=row.id)
    uow.ring(row.id, [])
