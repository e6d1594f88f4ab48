"""Links: which streams a subscription follows, and how far each was acknowledged.

A link is explicit, by its path, or matched, by the subscription's pattern, or both. It may name a
path that has no stream yet; when one is made there, the link takes it up from its beginning. A
pattern covers its owner's own streams; others' are followed by their paths, where they may be
read. A stream that goes takes its links along.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, case, delete, func, literal, select, update

from market.base.locks import lock
from market.base.sql import Sql, insert_ignore
from market.base.streams import streams
from market.base.tables import Flag
from market.base.work import Snapshot, UnitOfWork
from market.rawstreams import globs
from market.rawstreams.errors import TooManySubscriptions
from market.rawstreams.rows import ANYONE, locked, locked_by_id
from market.rawstreams.tables import links, raw_streams, subscriptions

MAX_LINKS: Final = 1_000
"""Streams that one subscription follows, at most. A pattern takes no more beyond it."""

MAX_SIFTED: Final = 10_000
"""Streams among which a new pattern looks for those that it matches, at most."""

MAX_WAITING: Final = 1_000
"""Subscriptions that a new stream finds waiting for it, at most: its owner's own come first."""


class Link(NamedTuple):
    """One stream that is followed: how far it was acknowledged, and how far it goes."""

    path: str
    is_explicit: bool
    acked: int
    next_offset: int

    @property
    def is_pending(self) -> bool:
        """Whether it holds something that was not acknowledged."""
        return self.next_offset > self.acked


_LINK = links.c.subscription_id == bindparam("subscription_id")
_AT = links.c.path == bindparam("path")
_ADD: Final = Sql(insert_ignore(links))
_NAME: Final = Sql(update(links).where(_LINK, _AT).values(is_explicit=1))
_UNNAME: Final = Sql(update(links).where(_LINK, _AT).values(is_explicit=0))
_DROP: Final = Sql(
    delete(links).where(_LINK, _AT, links.c.is_explicit == 0, links.c.is_matched == 0)
)
_DROP_ALL: Final = Sql(delete(links).where(_LINK))
_DROP_STREAM: Final = Sql(delete(links).where(links.c.stream_id == bindparam("stream_id")))
_COUNT: Final = Sql(select(func.count().label("links")).select_from(links).where(_LINK))
_NEXT: Final = func.coalesce(streams.c.next_offset, literal(0))
_LIST: Final = Sql(
    select(links.c.path, links.c.is_explicit, links.c.acked, _NEXT.label("next_offset"))
    .join(streams, streams.c.id == links.c.stream_id, isouter=True)
    .where(_LINK)
    .order_by(links.c.path)
    .limit(MAX_LINKS)
)
_OF_STREAM: Final = Sql(
    select(links.c.subscription_id).where(links.c.stream_id == bindparam("stream_id")).limit(1)
)
_OWN: Final = Sql(
    select(raw_streams.c.path)
    .where(
        raw_streams.c.owner_id == bindparam("owner_id"),
        raw_streams.c.state == "live",
        raw_streams.c.path.like(bindparam("like"), escape="\\"),
    )
    .order_by(raw_streams.c.path)
    .limit(MAX_SIFTED + 1)
)
_PATTERNS: Final = Sql(
    select(subscriptions.c.id, subscriptions.c.pattern, subscriptions.c.wake_path).where(
        subscriptions.c.owner_id == bindparam("owner_id"), subscriptions.c.pattern.is_not(None)
    )
)
_WAITING: Final = Sql(
    select(links.c.subscription_id, subscriptions.c.owner_id)
    .join(subscriptions, subscriptions.c.id == links.c.subscription_id)
    .where(_AT, links.c.stream_id.is_(None))
    .order_by(case((subscriptions.c.owner_id == bindparam("owner_id"), 0), else_=1))
    .limit(MAX_WAITING)
)
_TAKE_UP: Final = Sql(
    update(links)
    .where(_LINK, _AT)
    .values(
        stream_id=bindparam("stream_id"),
        acked=bindparam("acked"),
        is_matched=bindparam("is_matched", type_=Flag()),
    )
)
_WATCH: Final = Sql(
    update(raw_streams).where(raw_streams.c.id == bindparam("stream_id")).values(is_watched=1)
)
_UNWATCH: Final = Sql(
    update(raw_streams).where(raw_streams.c.id == bindparam("stream_id")).values(is_watched=0)
)


def links_of(snapshot: Snapshot, *, subscription_id: str) -> list[Link]:
    """Return what a subscription follows, by path."""
    rows = snapshot.all(_LIST, subscription_id=subscription_id)
    return [Link(row.path, row.is_explicit, row.acked, row.next_offset) for row in rows]


def matching(uow: UnitOfWork, *, owner_id: str, pattern: str) -> list[str]:
    """Return the paths of the owner's streams that a pattern matches.

    Raises:
        TooManySubscriptions: it would have to look through, or follow, more than it may.
    """
    like = globs.fixed_part(pattern).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = uow.all(_OWN, owner_id=owner_id, like=f"{like}%")
    found = [row.path for row in rows if globs.matches(pattern, globs.plain(row.path))]
    if len(rows) > MAX_SIFTED or len(found) > MAX_LINKS:
        raise TooManySubscriptions("Narrow the pattern.", limit=MAX_LINKS)
    return found


def follow(
    uow: UnitOfWork, subscription: Any, *, explicit: Iterable[str], matched: Iterable[str]
) -> None:
    """Link a subscription to streams, from their tails on; what it follows already stays.

    Raises:
        TooManySubscriptions: it would follow more than it may.
    """
    named, sifted = set(explicit), set(matched)
    # What has no row yet cannot be locked: whoever makes a stream at such a path waits for this.
    lock(uow, *(_name(path) for path in named))
    for path in sorted(named | sifted):
        row = locked(uow, path=path)
        is_there = (
            row is not None and row.state == "live" and may_follow(subscription.owner_id, row)
        )
        stream_id = row.id if row is not None and is_there else None
        added = uow.run(
            _ADD,
            subscription_id=subscription.id,
            path=globs.plain(path),
            stream_id=stream_id,
            is_explicit=path in named,
            is_matched=path in sifted,
            acked=row.next_offset if row is not None and is_there else 0,
            woken=0,
        )
        if not added and path in named:
            uow.run(_NAME, subscription_id=subscription.id, path=globs.plain(path))
        if stream_id is not None:
            uow.run(_WATCH, stream_id=stream_id)
    if uow.one(_COUNT, subscription_id=subscription.id).links > MAX_LINKS:
        raise TooManySubscriptions(f"It may follow {MAX_LINKS} streams.", limit=MAX_LINKS)


def unfollow(uow: UnitOfWork, *, subscription_id: str, path: str) -> None:
    """Take an explicit link back; a matched one stays. One that is not there changes nothing."""
    uow.run(_UNNAME, subscription_id=subscription_id, path=path)
    uow.run(_DROP, subscription_id=subscription_id, path=path)


def unfollow_all(uow: UnitOfWork, *, subscription_id: str) -> None:
    """Remove all links of a subscription."""
    uow.run(_DROP_ALL, subscription_id=subscription_id)


def greet(
    uow: UnitOfWork, *, stream_id: str, path: str, owner_id: str, access: str, first: int
) -> bool:
    """Let those follow a new stream who wait for it; say whether anybody does.

    They follow it from ``first``, the offset of its own first entry.
    """
    lock(uow, _name(path), is_shared=True)
    lock(uow, patterns_of(owner_id), is_shared=True)
    plain = globs.plain(path)
    matched = {
        row.id
        for row in uow.all(_PATTERNS, owner_id=owner_id)
        if row.wake_path != plain and globs.matches(row.pattern, plain)
    }
    waiting = {
        row.subscription_id
        for row in uow.all(_WAITING, path=plain, owner_id=owner_id)
        if _may_follow(row.owner_id, owner_id, access)
    }
    for subscription_id in waiting:
        uow.run(
            _TAKE_UP,
            subscription_id=subscription_id,
            path=plain,
            stream_id=stream_id,
            acked=first,
            is_matched=subscription_id in matched,
        )
    for subscription_id in matched - waiting:
        if uow.one(_COUNT, subscription_id=subscription_id).links < MAX_LINKS:
            uow.run(
                _ADD, subscription_id=subscription_id, path=plain, stream_id=stream_id,
                is_explicit=False, is_matched=True, acked=first, woken=0,
            )  # fmt: skip
    if matched or waiting:
        uow.run(_WATCH, stream_id=stream_id)
    return bool(matched or waiting)


def leave(uow: UnitOfWork, *, stream_id: str) -> None:
    """Let nobody follow a stream any more: it goes."""
    uow.run(_DROP_STREAM, stream_id=stream_id)


def is_followed(snapshot: Snapshot, *, stream_id: str) -> bool:
    """Whether any subscription follows a stream."""
    return snapshot.one(_OF_STREAM, stream_id=stream_id) is not None


def rest(uow: UnitOfWork, *, stream_id: str) -> None:
    """Let appends to a stream leave no more marks, if nobody follows it."""
    if is_followed(uow, stream_id=stream_id):
        return
    # Locked, and asked again: a subscription that is just being made locks it, too.
    locked_by_id(uow, stream_id=stream_id)
    if not is_followed(uow, stream_id=stream_id):
        uow.run(_UNWATCH, stream_id=stream_id)


def may_follow(owner_id: str, stream: Any) -> bool:
    """Whether the owner of a subscription may know how far a stream goes."""
    return _may_follow(owner_id, stream.owner_id, stream.access)


def patterns_of(owner_id: str) -> str:
    """Return the name under which an owner's patterns are locked."""
    return f"patterns:{owner_id}"


def _may_follow(owner_id: str, stream_owner_id: str, access: str) -> bool:
    if stream_owner_id in (owner_id, ANYONE):
        return True
    return owner_id != ANYONE and access != "private"


def _name(path: str) -> str:
    return f"path:{globs.plain(path)}"
