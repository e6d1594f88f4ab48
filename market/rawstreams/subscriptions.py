"""Subscriptions: made once, under an id of their owner's choice; looked up, changed, ended.

An id means something to its owner alone: another's subscription of that name is another one.
"""

from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import bindparam, delete, func, select

from market.base.caller import Caller
from market.base.locks import lock
from market.base.sql import PerDialect, Sql, insert
from market.base.work import Snapshot, UnitOfWork
from market.protocol.canonical import digest
from market.rawstreams import globs, linking
from market.rawstreams.errors import (
    SubscriptionAlreadyExists,
    SubscriptionNotFound,
    TooManySubscriptions,
)
from market.rawstreams.linking import Link
from market.rawstreams.rows import ANYONE
from market.rawstreams.tables import subscriptions

MAX_SUBSCRIPTIONS: Final = 100
"""Subscriptions that one owner has, at most."""

PREFIX: Final = "sub"
"""How ids of subscriptions begin; those of streams begin otherwise."""

Kind = Literal["webhook", "pull-wake"]


class NewSubscription(NamedTuple):
    """How a subscription is to be. A webhook has ``url``, a pull-wake has ``wake_path``."""

    kind: Kind
    pattern: str | None
    paths: tuple[str, ...]
    url: str | None
    wake_path: str | None
    lease_ms: int
    description: str | None

    @property
    def form(self) -> str:
        """What tells one form from another."""
        return digest({**self._asdict(), "paths": sorted(set(self.paths))})


class Subscription(NamedTuple):
    """A subscription as its owner sees it."""

    name: str
    kind: Kind
    pattern: str | None
    url: str | None
    wake_path: str | None
    lease_ms: int
    description: str | None
    created_at: datetime
    is_failing: bool
    links: list[Link]


class Subscribed(NamedTuple):
    """The subscription; ``is_new`` unless it was there, just so, before."""

    subscription: Subscription
    is_new: bool


_NAMED = select(subscriptions).where(
    subscriptions.c.owner_id == bindparam("owner_id"), subscriptions.c.name == bindparam("name")
)
_BY_ID = select(subscriptions).where(subscriptions.c.id == bindparam("subscription_id"))
_FIND: Final = Sql(_NAMED)
_LOCK: Final = Sql(PerDialect(_NAMED, _NAMED.with_for_update()))
_LOCK_ID: Final = Sql(PerDialect(_BY_ID, _BY_ID.with_for_update()))
_COUNT: Final = Sql(
    select(func.count().label("subscriptions"))
    .select_from(subscriptions)
    .where(subscriptions.c.owner_id == bindparam("owner_id"))
)
_OWNER: Final = Sql(
    select(subscriptions.c.owner_id).where(subscriptions.c.id == bindparam("subscription_id"))
)
_ADD: Final = Sql(insert(subscriptions))
_REMOVE: Final = Sql(
    delete(subscriptions).where(subscriptions.c.id == bindparam("subscription_id"))
)


def subscribe(
    uow: UnitOfWork, *, caller: Caller | None, name: str, new: NewSubscription
) -> Subscribed:
    """Follow streams from their tails on. The same again changes nothing.

    Raises:
        SubscriptionAlreadyExists: the caller has one of this name in another form.
        TooManySubscriptions: the caller has, or this one would follow, as many as may be.
    """
    owner_id = _owner(caller)
    # Whoever makes a stream that the pattern matches, or another subscription, waits for this.
    lock(uow, linking.patterns_of(owner_id))
    there = uow.one(_FIND, owner_id=owner_id, name=name)
    if there is not None:
        if there.form != new.form:
            raise SubscriptionAlreadyExists("Delete it first, or choose another id.")
        return Subscribed(_view(uow, there), is_new=False)
    if uow.one(_COUNT, owner_id=owner_id).subscriptions >= MAX_SUBSCRIPTIONS:
        raise TooManySubscriptions(
            f"An agent has {MAX_SUBSCRIPTIONS} subscriptions at most.", limit=MAX_SUBSCRIPTIONS
        )
    row = _add(uow, owner_id, name, new)
    matched: list[str] = []
    if new.pattern is not None:
        matched = linking.matching(uow, owner_id=owner_id, pattern=new.pattern)
        matched = [path for path in matched if globs.plain(path) != new.wake_path]
    linking.follow(uow, row, explicit=new.paths, matched=matched)
    return Subscribed(_view(uow, row), is_new=True)


def subscription(snapshot: Snapshot, *, caller: Caller | None, name: str) -> Subscription:
    """Return one of the caller's subscriptions.

    Raises:
        SubscriptionNotFound: the caller has none of this name.
    """
    return _view(snapshot, _there(snapshot.one(_FIND, owner_id=_owner(caller), name=name)))


def owner_of(snapshot: Snapshot, *, subscription_id: str) -> str | None:
    """Return who has a subscription; None when there is none of this id."""
    row = snapshot.one(_OWNER, subscription_id=subscription_id)
    return None if row is None else str(row.owner_id)


def unsubscribe(uow: UnitOfWork, *, caller: Caller | None, name: str) -> None:
    """End a subscription, and with it whatever wake is under way. A repeat changes nothing."""
    row = uow.one(_LOCK, owner_id=_owner(caller), name=name)
    if row is not None:
        linking.unfollow_all(uow, subscription_id=row.id)
        uow.run(_REMOVE, subscription_id=row.id)


def follow_also(
    uow: UnitOfWork, *, caller: Caller | None, name: str, paths: tuple[str, ...]
) -> None:
    """Let a subscription follow more streams, from their tails on.

    Raises:
        SubscriptionNotFound: the caller has none of this name.
        TooManySubscriptions: it would follow more than it may.
    """
    row = locked(uow, caller=caller, name=name)
    linking.follow(uow, row, explicit=paths, matched=())


def unfollow(uow: UnitOfWork, *, caller: Caller | None, name: str, path: str) -> None:
    """Let a subscription follow a stream no more, unless its pattern matches it.

    Raises:
        SubscriptionNotFound: the caller has none of this name.
    """
    row = locked(uow, caller=caller, name=name)
    linking.unfollow(uow, subscription_id=row.id, path=globs.plain(path))


def locked(uow: UnitOfWork, *, caller: Caller | None, name: str) -> Any:
    """Return the row of one of the caller's subscriptions and keep other workers from it.

    Raises:
        SubscriptionNotFound: the caller has none of this name.
    """
    return _there(uow.one(_LOCK, owner_id=_owner(caller), name=name))


def locked_by_id(uow: UnitOfWork, *, subscription_id: str) -> Any | None:
    """Return a row by its id and keep other workers from it; None when there is none."""
    return uow.one(_LOCK_ID, subscription_id=subscription_id)


def _owner(caller: Caller | None) -> str:
    return ANYONE if caller is None else caller.agent_id


def _there(row: Any | None) -> Any:
    if row is None:
        raise SubscriptionNotFound("You have no subscription of this id.")
    return row


def _add(uow: UnitOfWork, owner_id: str, name: str, new: NewSubscription) -> Any:
    subscription_id = uow.new_id(PREFIX)
    uow.run(
        _ADD,
        id=subscription_id,
        owner_id=owner_id,
        name=name,
        kind=new.kind,
        pattern=new.pattern,
        url=new.url,
        wake_path=new.wake_path,
        lease_ms=new.lease_ms,
        description=new.description,
        form=new.form,
        created_at=uow.now,
        generation=0,
        wake_id=None,
        holder=None,
        lease_ends_at=None,
        try_at=None,
        tries=0,
        is_slow=False,
    )
    return locked_by_id(uow, subscription_id=subscription_id)


def _view(snapshot: Snapshot, row: Any) -> Subscription:
    return Subscription(
        name=row.name,
        kind=row.kind,
        pattern=row.pattern,
        url=row.url,
        wake_path=row.wake_path,
        lease_ms=row.lease_ms,
        description=row.description,
        created_at=row.created_at,
        is_failing=row.tries > 0,
        links=linking.links_of(snapshot, subscription_id=row.id),
    )
