"""Wakes: at most one is alive of each subscription, and what comes too late for it is refused.

A wake begins when a followed stream holds what was not acknowledged. It ends when a worker is
done, or lets go, or stays silent beyond its lease; if something is still pending then, the next
begins at once. Each has a **generation** of its own, one higher than the last.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, bindparam, select, update

from market.base.caller import Caller
from market.base.clock import to_micros
from market.base.sql import Sql
from market.base.streams import streams
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.rawstreams import content, linking, stirring
from market.rawstreams.appending import put_entry
from market.rawstreams.errors import (
    AlreadyClaimed,
    BadStreamRequest,
    Fenced,
    InvalidOffset,
    SubscriptionNotFound,
    TokenInvalid,
)
from market.rawstreams.linking import Link, links_of
from market.rawstreams.rows import ANYONE, is_lapsed
from market.rawstreams.rows import locked as locked_stream
from market.rawstreams.seals import Wake, seal
from market.rawstreams.subscriptions import PREFIX, Kind, locked, locked_by_id
from market.rawstreams.tables import links, subscriptions

WOKEN_AT_ONCE: Final = 20
"""Subscriptions of one stream that a unit of work wakes, and leases that it ends, at most."""


class Claimed(NamedTuple):
    """A wake in a worker's hands."""

    wake_id: str
    generation: int
    token: str
    lease_ms: int
    links: list[Link]


class Answer(NamedTuple):
    """What the bearer of a wake's token says. ``acks``: path, and the offset to go on from.

    ``name`` and ``kind`` are those of the address to which it was said, ``wake`` is what the token
    is for.
    """

    name: str
    kind: Kind
    wake: Wake
    wake_id: str | None
    generation: int | None
    acks: Sequence[tuple[str, int]]
    is_done: bool


_TAIL = select(streams.c.next_offset).where(streams.c.id == links.c.stream_id).scalar_subquery()
_PENDING: Final[ColumnElement[bool]] = links.c.acked < streams.c.next_offset
_ASLEEP: Final = Sql(
    select(subscriptions.c.id)
    .join(links, links.c.subscription_id == subscriptions.c.id)
    .join(streams, streams.c.id == links.c.stream_id)
    .where(links.c.stream_id == bindparam("stream_id"), _PENDING, subscriptions.c.wake_id.is_(None))
    .order_by(subscriptions.c.id)
    .limit(WOKEN_AT_ONCE)
)
_FIRST_PENDING: Final = Sql(
    select(links.c.path)
    .join(streams, streams.c.id == links.c.stream_id)
    .where(links.c.subscription_id == bindparam("subscription_id"), _PENDING)
    .order_by(links.c.path)
    .limit(1)
)
_NOTE_TAILS: Final = Sql(
    update(links)
    .where(
        links.c.subscription_id == bindparam("subscription_id"),
        links.c.stream_id.is_not(None),
        links.c.acked < _TAIL,
    )
    .values(woken=_TAIL)
)
_ACK_TAILS: Final = Sql(
    update(links)
    .where(links.c.subscription_id == bindparam("subscription_id"), links.c.woken > links.c.acked)
    .values(acked=links.c.woken)
)
_ACK: Final = Sql(
    update(links)
    .where(
        links.c.subscription_id == bindparam("subscription_id"),
        links.c.path == bindparam("at_path"),
    )
    .values(acked=bindparam("offset"))
)
_BEGIN: Final = Sql(
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("subscription_id"))
    .values(
        generation=bindparam("next"),
        wake_id=bindparam("wake"),
        try_at=bindparam("until", type_=UtcDateTime()),
    )
)
_END: Final = Sql(
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("subscription_id"))
    .values(wake_id=None, holder=None, lease_ends_at=None, try_at=None)
)
_HOLD: Final = Sql(
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("subscription_id"))
    .values(holder=bindparam("worker"), lease_ends_at=bindparam("until", type_=UtcDateTime()))
)
_HEALTHY: Final = Sql(
    update(subscriptions).where(subscriptions.c.id == bindparam("subscription_id")).values(tries=0)
)
_ENDED_LEASES: Final = Sql(
    select(subscriptions.c.id)
    .where(subscriptions.c.lease_ends_at <= bindparam("now", type_=UtcDateTime()))
    .order_by(subscriptions.c.lease_ends_at)
    .limit(WOKEN_AT_ONCE)
)


def see_to(uow: UnitOfWork) -> int:
    """Wake a slice of those for whom something moved, and of those whose leases ended.

    Returns how many marks and leases it saw to; call it again until that is 0.
    """
    marked = stirring.marks(uow)
    for mark in marked:
        stirring.unmark(uow, mark)
        if mark.startswith(PREFIX):
            wake(uow, locked_by_id(uow, subscription_id=mark))
        else:
            _wake_followers(uow, mark)
    ended = uow.all(_ENDED_LEASES, now=uow.now)
    for row in ended:
        held = locked_by_id(uow, subscription_id=row.id)
        if held is not None and _is_over(uow, held):
            _end_and_wake(uow, held)
    return len(marked) + len(ended)


def wake(uow: UnitOfWork, row: Any | None) -> bool:
    """Begin a wake, and tell of it, if none is alive and something is pending; say if so."""
    if row is None or row.wake_id is not None:
        return False
    pending = uow.one(_FIRST_PENDING, subscription_id=row.id)
    if pending is None:
        return False
    begun = _begin(uow, row)
    if begun.kind == "webhook":
        uow.ring(stirring.BELL, [])
    else:
        _write_wake(uow, begun, pending.path)
    return True


def claim(uow: UnitOfWork, *, caller: Caller | None, name: str, worker: str) -> Claimed | None:
    """Take the wake of a pull-wake subscription, for as long as its lease lasts.

    None when nothing is pending: a wake that was told of is then over.

    Raises:
        AlreadyClaimed: a worker holds it.
        SubscriptionNotFound, BadStreamRequest: the caller has none of this name and kind.
    """
    row = locked(uow, caller=caller, name=name)
    if row.kind != "pull-wake":
        raise BadStreamRequest("A webhook's wakes are not claimed.")
    if row.holder is not None:
        if not _is_over(uow, row):
            raise AlreadyClaimed(
                "Wait for its lease to end.", current_holder=row.holder, generation=row.generation
            )
        row = _end(uow, row)
    if uow.one(_FIRST_PENDING, subscription_id=row.id) is None:
        _end_and_wake(uow, row)
        return None
    if row.wake_id is None:
        row = _begin(uow, row)
    hold(uow, row, worker=worker)
    return Claimed(
        row.wake_id,
        row.generation,
        seal(uow.signer, Wake(row.id, row.generation)),
        row.lease_ms,
        links_of(uow, subscription_id=row.id),
    )


def acknowledge(uow: UnitOfWork, *, answer: Answer) -> bool:
    """Keep what a worker has acknowledged, and begin its lease anew, or end the wake if it is done.

    Returns whether the next wake has begun.

    Raises:
        TokenInvalid, SubscriptionNotFound: the token is not for this subscription; it is no more.
        Fenced: the wake is over.
        InvalidOffset: an offset lies before what was acknowledged, or beyond the tail.
    """
    row = _held(uow, answer)
    known = {link.path: link for link in links_of(uow, subscription_id=row.id)}
    for path, offset in answer.acks:
        link = known.get(path)
        if link is None or not link.acked <= offset <= link.next_offset:
            raise InvalidOffset(
                "Acknowledge a followed stream, not behind what was, nor beyond its tail.",
                stream=path,
            )
        known[path] = link._replace(acked=offset)
    for path, offset in answer.acks:
        uow.run(_ACK, subscription_id=row.id, at_path=path, offset=offset)
    if row.tries:
        uow.run(_HEALTHY, subscription_id=row.id)
    if answer.is_done:
        return _end_and_wake(uow, row)
    hold(uow, row, worker=row.holder)
    return False


def release(uow: UnitOfWork, *, answer: Answer) -> None:
    """Let go of a wake without a word on what was done; what is pending wakes another worker.

    Raises:
        TokenInvalid, SubscriptionNotFound, Fenced: as ``acknowledge``.
    """
    _end_and_wake(uow, _held(uow, answer))


def finish(uow: UnitOfWork, row: Any) -> bool:
    """Acknowledge all that a wake told of, and end it; say whether the next one has begun."""
    uow.run(_ACK_TAILS, subscription_id=row.id)
    return _end_and_wake(uow, row)


def hold(uow: UnitOfWork, row: Any, *, worker: str | None) -> None:
    """Let a wake's lease begin anew."""
    until = uow.now + timedelta(milliseconds=row.lease_ms)
    uow.run(_HOLD, subscription_id=row.id, worker=worker, until=until)


def note_tails(uow: UnitOfWork, *, subscription_id: str) -> None:
    """Remember how far the streams go that a wake tells of."""
    uow.run(_NOTE_TAILS, subscription_id=subscription_id)


def _wake_followers(uow: UnitOfWork, stream_id: str) -> None:
    asleep = uow.all(_ASLEEP, stream_id=stream_id)
    for row in asleep:
        wake(uow, locked_by_id(uow, subscription_id=row.id))
    if len(asleep) == WOKEN_AT_ONCE:
        stirring.stir(uow, stream_id)
    elif not asleep:
        linking.rest(uow, stream_id=stream_id)


def _held(uow: UnitOfWork, answer: Answer) -> Any:
    """Return the row of the subscription whose live wake an answer is for."""
    named = answer.wake
    row = locked_by_id(uow, subscription_id=named.subscription_id)
    if row is None:
        raise SubscriptionNotFound("It was deleted.")
    if row.name != answer.name:
        raise TokenInvalid("Send the wake's own token.")
    if row.kind != answer.kind:
        raise BadStreamRequest(f"This is not for a subscription of type {row.kind}.")
    is_live = row.wake_id is not None and not _is_over(uow, row)
    if row.kind == "pull-wake":
        is_live = is_live and row.holder is not None
    is_this = (named.generation, answer.generation, answer.wake_id) == (
        row.generation,
        row.generation,
        row.wake_id,
    )
    if not (is_live and is_this):
        raise Fenced("Its lease has ended, or its worker was done.", generation=row.generation)
    return row


def _is_over(uow: UnitOfWork, row: Any) -> bool:
    return row.lease_ends_at is not None and row.lease_ends_at <= uow.now


def _begin(uow: UnitOfWork, row: Any) -> Any:
    wake_id = uow.new_id("wak")
    note_tails(uow, subscription_id=row.id)
    until = uow.now if row.kind == "webhook" else None
    uow.run(_BEGIN, subscription_id=row.id, next=row.generation + 1, wake=wake_id, until=until)
    return row._replace(generation=row.generation + 1, wake_id=wake_id)


def _end(uow: UnitOfWork, row: Any) -> Any:
    uow.run(_END, subscription_id=row.id)
    return row._replace(wake_id=None, holder=None)


def _end_and_wake(uow: UnitOfWork, row: Any) -> bool:
    if wake(uow, _end(uow, row)):
        return True
    # Another worker may be committing an append, and has taken this wake for a live one.
    stirring.stir(uow, row.id)
    return False


def _write_wake(uow: UnitOfWork, row: Any, path: str) -> None:
    """Append the wake to its stream, if there is one that the subscription's owner may write."""
    stream = locked_stream(uow, path=row.wake_path)
    if stream is None or stream.state != "live" or is_lapsed(stream, uow.now) or stream.is_closed:
        return
    is_open = row.owner_id != ANYONE and stream.access == "open"
    if stream.owner_id in (row.owner_id, ANYONE) or is_open:
        event = {
            "type": "wake",
            "subscription_id": row.name,
            "stream": path,
            "generation": row.generation,
            "ts": to_micros(uow.now) // 1_000,
        }
        put_entry(uow, stream, content.stored(msgspec.json.encode(event), stream.content_type))
