"""Deliveries: webhooks that are due, what they say, and what becomes of those that failed.

An attempt is taken by moving its next one behind the longest that it may last: if the market
stops in between, that next one comes. Nobody's slow or broken webhooks keep others waiting: of one
owner few are tried at the same time, and those that were slow or failed last time are ``suspect``.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, select, update

from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.rawstreams import stirring
from market.rawstreams.linking import Link, links_of
from market.rawstreams.seals import Wake, seal
from market.rawstreams.subscriptions import locked_by_id
from market.rawstreams.tables import subscriptions
from market.rawstreams.waking import finish, hold, note_tails

ATTEMPT_SECONDS: Final = 15
"""How long an attempt may last, all in all; after that it is tried again."""

MAX_RETRY_SECONDS: Final = 60
JITTER: Final = 0.2
PER_OWNER: Final = 4
"""Webhooks of one owner that are tried at the same time."""

DUE_AT_ONCE: Final = 64


class Due(NamedTuple):
    """A delivery that somebody should take."""

    subscription_id: str
    owner_id: str
    is_suspect: bool


class Agenda(NamedTuple):
    """What there is to do now, and when there will be more."""

    has_wakes: bool
    due: list[Due]
    next_at: datetime | None


class Delivery(NamedTuple):
    """What to send where: one attempt to tell of one wake."""

    subscription_id: str
    generation: int
    url: str
    name: str
    wake_id: str
    token: str
    links: list[Link]


_PLACE = (
    func.row_number()
    .over(partition_by=subscriptions.c.owner_id, order_by=subscriptions.c.try_at)
    .label("place")
)
_WAITING = (
    select(
        subscriptions.c.id,
        subscriptions.c.owner_id,
        subscriptions.c.try_at,
        subscriptions.c.tries,
        subscriptions.c.is_slow,
        _PLACE,
    )
    .where(subscriptions.c.try_at <= bindparam("now", type_=UtcDateTime()))
    .subquery()
)
_DUE: Final = Sql(
    select(_WAITING.c.id, _WAITING.c.owner_id, _WAITING.c.tries, _WAITING.c.is_slow)
    .where(_WAITING.c.place <= PER_OWNER)
    .order_by(_WAITING.c.try_at)
    .limit(DUE_AT_ONCE)
)
_NEXT_TRY: Final = Sql(
    select(subscriptions.c.try_at)
    .where(subscriptions.c.try_at > bindparam("now", type_=UtcDateTime()))
    .order_by(subscriptions.c.try_at)
    .limit(1)
)
_NEXT_LEASE: Final = Sql(
    select(subscriptions.c.lease_ends_at)
    .where(subscriptions.c.lease_ends_at.is_not(None))
    .order_by(subscriptions.c.lease_ends_at)
    .limit(1)
)
_TRY: Final = Sql(
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("subscription_id"))
    .values(try_at=bindparam("until", type_=UtcDateTime()))
)
_NOTE: Final = Sql(
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("subscription_id"))
    .values(
        try_at=bindparam("until", type_=UtcDateTime()),
        tries=bindparam("count"),
        is_slow=bindparam("slow"),
    )
)


def agenda(snapshot: Snapshot) -> Agenda:
    """Return what is due, and when something will be."""
    now = snapshot.now
    due = [
        Due(row.id, row.owner_id, bool(row.tries) or row.is_slow)
        for row in snapshot.all(_DUE, now=now)
    ]
    lease = snapshot.one(_NEXT_LEASE)
    later = snapshot.one(_NEXT_TRY, now=now)
    moments = [row[0] for row in (lease, later) if row is not None]
    has_wakes = stirring.is_stirred(snapshot) or (lease is not None and lease[0] <= now)
    return Agenda(has_wakes, due, min(moments, default=None))


def take(uow: UnitOfWork, *, subscription_id: str) -> Delivery | None:
    """Take an attempt that is due; None when another has, or nobody is to be told any more."""
    row = locked_by_id(uow, subscription_id=subscription_id)
    if row is None or row.wake_id is None or row.try_at is None or row.try_at > uow.now:
        return None
    uow.run(_TRY, subscription_id=row.id, until=uow.now + timedelta(seconds=ATTEMPT_SECONDS))
    note_tails(uow, subscription_id=row.id)
    return Delivery(
        subscription_id=row.id,
        generation=row.generation,
        url=row.url,
        name=row.name,
        wake_id=row.wake_id,
        token=seal(uow.signer, Wake(row.id, row.generation)),
        links=links_of(uow, subscription_id=row.id),
    )


def note_delivered(
    uow: UnitOfWork, *, subscription_id: str, generation: int, is_done: bool, is_slow: bool
) -> None:
    """Keep that a webhook took a wake; done, it has acknowledged what it was told of."""
    row = locked_by_id(uow, subscription_id=subscription_id)
    if row is None:
        return
    is_this = row.generation == generation and row.wake_id is not None
    until = None if is_this else row.try_at
    uow.run(_NOTE, subscription_id=row.id, until=until, count=0, slow=is_slow)
    if is_this and is_done:
        finish(uow, row)
    elif is_this:
        hold(uow, row, worker=None)


def note_failed(uow: UnitOfWork, *, subscription_id: str, generation: int, chance: float) -> None:
    """Keep that a webhook did not take a wake, and when to try again; ``chance`` is below 1.

    One that has answered in the meantime, by its token, has taken it.
    """
    row = locked_by_id(uow, subscription_id=subscription_id)
    if row is None or row.generation != generation or row.wake_id is None:
        return
    if row.lease_ends_at is not None:
        uow.run(_NOTE, subscription_id=row.id, until=None, count=0, slow=True)
        return
    tries = row.tries + 1
    until = uow.now + timedelta(seconds=retry_seconds(tries, chance))
    uow.run(_NOTE, subscription_id=row.id, until=until, count=tries, slow=row.is_slow)


def retry_seconds(tries: int, chance: float) -> float:
    """Return how long to wait after so many failures: 1 s, then twice as long, up to 60 s.

    ``chance`` from 0 to 1 spreads it by a fifth either way.
    """
    base = min(1 << min(tries - 1, 6), MAX_RETRY_SECONDS)
    return base * (1 + JITTER * (2 * chance - 1))
