"""Who is calling: from a token or a client assertion to an agent as it stands now."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import Text, bindparam, delete, select, type_coerce

from market.base.caller import CLOCK_SKEW_SECONDS, Caller
from market.base.clock import rfc3339
from market.base.errors import NotFound
from market.base.sql import Sql, insert_ignore
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.identity.errors import InvalidClient, InvalidToken, Suspended
from market.identity.tables import agent_keys, agents, used_tokens
from market.protocol.commitments import AgentKind
from market.protocol.signing import VerifyingKey

MAX_KEYS: Final = 100
"""Keys that an agent may register in all its life, revoked ones among them."""

KEEP_USED: Final = timedelta(seconds=2 * CLOCK_SKEW_SECONDS)
"""How long after its expiry the mark of a used token stays: past the skew that is allowed."""

_REFUSED_CLIENT: Final = (
    "Send a fresh private_key_jwt assertion, signed by an active key of the agent."
)

_USE_UP = Sql(insert_ignore(used_tokens))
_FORGET = Sql(
    delete(used_tokens).where(used_tokens.c.expires_at < bindparam("before", type_=UtcDateTime()))
)
_STANDING = Sql(select(agents.c.kind, agents.c.suspended_at).where(agents.c.id == bindparam("id")))
# The text of a key is what ``verifying_key`` is remembered by, so it is not decoded here.
_CALLER = Sql(
    select(
        agents.c.handle,
        agents.c.kind,
        agents.c.principal_id,
        agents.c.suspended_at,
        agent_keys.c.kid,
        type_coerce(agent_keys.c.jwk, Text).label("jwk"),
    )
    .join_from(agents, agent_keys, agent_keys.c.agent_id == agents.c.id)
    .where(agents.c.id == bindparam("id"), agent_keys.c.revoked_at.is_(None))
    .limit(MAX_KEYS)
)


def caller_of(
    snapshot: Snapshot, *, agent_id: str, scopes: Iterable[str], key_id: str | None = None
) -> Caller:
    """Return the caller behind an access token for ``agent_id``, as it stands now.

    Give the token's ``key_id`` so that a token ends with the key it was given for.

    Raises:
        InvalidToken: there is no such agent, or the key is revoked.
        Suspended: the agent is shut out.
    """
    rows = snapshot.all(_CALLER, id=agent_id)
    keys = _verifying(rows)
    if not rows or (key_id is not None and key_id not in keys):
        raise InvalidToken("Get a new access token at the token endpoint.")
    row = rows[0]
    refuse_suspended(row)
    return Caller(
        agent_id=agent_id,
        handle=row.handle,
        kind=row.kind,
        principal_id=row.principal_id,
        scopes=frozenset(scopes),
        keys=keys,
        issuer=snapshot.settings.issuer,
    )


def active_keys(snapshot: Snapshot, *, agent_id: str) -> dict[str, VerifyingKey]:
    """Return the keys that may sign for an agent, by ``kid``.

    Raises:
        NotFound: no agent has this id.
    """
    keys = _verifying(snapshot.all(_CALLER, id=agent_id))
    if not keys:
        raise NotFound("No agent has this id.")
    return keys


def client_keys(snapshot: Snapshot, *, agent_id: str) -> dict[str, VerifyingKey]:
    """Return the keys that may sign a client assertion of this agent.

    Raises:
        InvalidClient: the agent is unknown or suspended; the words do not tell which.
    """
    rows = snapshot.all(_CALLER, id=agent_id)
    if not rows or rows[0].suspended_at is not None:
        raise InvalidClient(_REFUSED_CLIENT)
    return _verifying(rows)


def redeem_assertion(
    uow: UnitOfWork, *, agent_id: str, jti: str, expires_at: datetime
) -> AgentKind:
    """Use up a client assertion, and return the agent's kind: it decides the scopes.

    Raises:
        InvalidClient: it was used before, or the agent has been suspended since.
    """
    row = uow.one(_STANDING, id=agent_id)
    if row is None or row.suspended_at is not None:
        raise InvalidClient(_REFUSED_CLIENT)
    if not use_up(uow, agent_id, "assertion", jti, expires_at):
        raise InvalidClient(_REFUSED_CLIENT)
    kind: AgentKind = row.kind
    return kind


def forget_assertions(uow: UnitOfWork) -> int:
    """Remove the marks of used tokens that are too old to be tried again; return how many."""
    return uow.run(_FORGET, before=uow.now - KEEP_USED)


def use_up(uow: UnitOfWork, agent_id: str, purpose: str, jti: str, expires_at: datetime) -> bool:
    """Mark a token as used; return whether this was the first time."""
    return bool(
        uow.run(_USE_UP, agent_id=agent_id, purpose=purpose, jti=jti, expires_at=expires_at)
    )


def refuse_suspended(row: Any) -> None:
    """Raise ``Suspended`` for an agent row that is."""
    if row.suspended_at is not None:
        raise Suspended("An overseer has suspended this agent.", since=rfc3339(row.suspended_at))


@lru_cache(maxsize=8_192)
def verifying_key(jwk_text: str) -> VerifyingKey:
    """Return the key that a canonical JWK text describes. Equal texts share one key."""
    return VerifyingKey(msgspec.json.decode(jwk_text))


def _verifying(rows: Sequence[Any]) -> dict[str, VerifyingKey]:
    return {row.kid: verifying_key(row.jwk) for row in rows}
