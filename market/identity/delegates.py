"""Sub-agents: let in by a delegation, and out again when it, or what it rests on, ends.

A delegation is as good as its maker: it ends with its time, with its revocation, with the key
that signed it, and while the maker, or the agent whose key the sub-agent uses, is suspended.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, select, update

from market.base.caller import CLOCK_SKEW_SECONDS, Caller, Delegation
from market.base.clock import rfc3339
from market.base.errors import NotFound
from market.base.sql import Sql, insert_ignore
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.identity.callers import (
    KEEP_USED,
    active_keys,
    caller_of,
    refuse_suspended,
    use_up,
)
from market.identity.delegation import MAX_DELEGATION_SECONDS, Handed
from market.identity.errors import (
    DelegationRefused,
    DelegationRevoked,
    InvalidClient,
    InvalidToken,
    TooManyDelegations,
)
from market.identity.proofs import Assertion
from market.identity.tables import agent_keys, agents, delegations
from market.identity.tokens import AccessClaims
from market.protocol.signing import VerifyingKey
from market.protocol.wire import DelegationView

MAX_DELEGATIONS: Final = 1_000
"""Delegations of one agent that are in force, or revoked before their time, at most."""

_own_keys = agent_keys.alias("own_keys")
_own_agents = agents.alias("own_agents")
_IS_IT: Final = (
    delegations.c.delegator_id == bindparam("of_agent"),
    delegations.c.jti == bindparam("named"),
)
_ADD: Final = Sql(insert_ignore(delegations))
_COUNT: Final = Sql(
    select(func.count().label("total")).where(
        delegations.c.delegator_id == bindparam("of_agent"),
        delegations.c.expires_at > bindparam("now", type_=UtcDateTime()),
    )
)
_STANDING: Final = Sql(
    select(
        delegations,
        agents.c.suspended_at,
        agent_keys.c.revoked_at.label("key_revoked_at"),
        _own_keys.c.revoked_at.label("own_key_revoked_at"),
        _own_agents.c.suspended_at.label("own_suspended_at"),
    )
    .join_from(delegations, agents, agents.c.id == delegations.c.delegator_id)
    .outerjoin(agent_keys, agent_keys.c.kid == delegations.c.key_id)
    .outerjoin(_own_keys, _own_keys.c.kid == delegations.c.delegate_id)
    .outerjoin(_own_agents, _own_agents.c.id == _own_keys.c.agent_id)
    .where(*_IS_IT)
)
_REVOKE: Final = Sql(
    update(delegations)
    .where(*_IS_IT, delegations.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("at", type_=UtcDateTime()))
)
_FORGET: Final = Sql(
    delete(delegations).where(delegations.c.expires_at < bindparam("before", type_=UtcDateTime()))
)


def redeem_delegation(uow: UnitOfWork, *, handed: Handed, assertion: Assertion) -> bool:
    """Let a sub-agent in by its delegation; return whether this is the delegation's first use.

    Raises:
        InvalidClient: the assertion was used before.
        DelegationRefused: the delegation's name (jti) stands for another one, or its maker's or
            its sub-agent's key is revoked.
        DelegationRevoked: its maker has taken it back.
        Suspended: its maker, or the sub-agent, is shut out.
        TooManyDelegations: its maker has as many as it may.
    """
    claims = handed.claims
    if not use_up(uow, claims.sub, "assertion", assertion.jti, assertion.expires_at):
        raise InvalidClient(
            "Send a fresh private_key_jwt assertion, signed by the sub-agent's key."
        )
    is_first = _add(
        uow,
        claims.iss,
        claims.jti,
        handed.expires_at,
        key_id=handed.key_id,
        delegate_id=claims.sub,
        session_id=claims.session_id,
        order_id=claims.order_id,
        run=claims.run,
        digest=handed.digest,
    )
    row = uow.one(_STANDING, of_agent=claims.iss, named=claims.jti)
    _refuse_ended(row)
    if row.digest != handed.digest:
        raise DelegationRefused("Its jti stands for another delegation of the same maker.")
    return is_first


def revoke_delegation(
    uow: UnitOfWork, *, caller: Caller, jti: str
) -> tuple[DelegationView, Delegation | None]:
    """Take a delegation of the caller's back, used or not; a repeat changes nothing.

    The second part is what was known of it, if it is revoked by this and was used before.
    """
    until = uow.now + timedelta(seconds=MAX_DELEGATION_SECONDS + CLOCK_SKEW_SECONDS)
    _add(uow, caller.agent_id, jti, until)
    is_revoked = uow.run(_REVOKE, of_agent=caller.agent_id, named=jti, at=uow.now)
    row = uow.one(_STANDING, of_agent=caller.agent_id, named=jti)
    was_used = row.session_id is not None
    view = DelegationView(
        jti=jti,
        delegate_id=row.delegate_id,
        session_id=row.session_id,
        expires_at=rfc3339(row.expires_at) if was_used else None,
        revoked_at=rfc3339(row.revoked_at),
    )
    return view, _delegation(row) if is_revoked and was_used else None


def count_delegations(snapshot: Snapshot, agent_id: str) -> int:
    """Return how many delegations of an agent are in force, or revoked before their time."""
    return int(snapshot.one(_COUNT, of_agent=agent_id, now=snapshot.now).total)


def delegators_keys(snapshot: Snapshot, *, agent_id: str) -> dict[str, VerifyingKey]:
    """Return the keys that may sign a delegation of this agent's; none for one that is not here."""
    try:
        return active_keys(snapshot, agent_id=agent_id)
    except NotFound:
        return {}


def forget_delegations(uow: UnitOfWork) -> int:
    """Remove what is known of delegations that nobody could use any more; return how many."""
    return uow.run(_FORGET, before=uow.now - KEEP_USED)


def caller_behind(snapshot: Snapshot, *, claims: AccessClaims) -> Caller:
    """Return the caller behind an access token, an agent or a sub-agent, as it stands now.

    Raises:
        InvalidToken: there is none, or the key or the delegation it rests on is revoked.
        Suspended: the agent, or the sub-agent's delegator, is shut out.
    """
    if claims.delegation is None:
        return caller_of(snapshot, agent_id=claims.sub, key_id=claims.key_id, scopes=claims.scopes)
    row = snapshot.one(_STANDING, of_agent=claims.sub, named=claims.delegation)
    if row is None or row.delegate_id != claims.client_id:
        raise InvalidToken("Get a new access token at the token endpoint.")
    try:
        _refuse_ended(row)
    except (DelegationRefused, DelegationRevoked) as refusal:
        raise InvalidToken("Get a new access token at the token endpoint.") from refusal
    return Caller(
        agent_id=row.delegate_id,
        handle=row.delegate_id,
        kind="delegate",
        principal_id=None,
        scopes=claims.scopes,
        keys={},
        issuer=snapshot.settings.issuer,
        delegation=_delegation(row),
    )


def _add(uow: UnitOfWork, delegator_id: str, jti: str, expires_at: datetime, **known: Any) -> bool:
    """Make the row of a delegation, if there is none; return whether there was none."""
    empty = dict.fromkeys(("key_id", "delegate_id", "session_id", "order_id", "run", "digest"))
    members = {**empty, **known, "delegator_id": delegator_id, "jti": jti}
    if not uow.run(_ADD, **members, expires_at=expires_at, revoked_at=None):
        return False
    if uow.one(_COUNT, of_agent=delegator_id, now=uow.now).total > MAX_DELEGATIONS:
        raise TooManyDelegations(
            f"An agent has at most {MAX_DELEGATIONS} delegations at a time; let some expire.",
            max_delegations=MAX_DELEGATIONS,
        )
    return True


def _refuse_ended(row: Any) -> None:
    refuse_suspended(row)
    if row.revoked_at is not None:
        raise DelegationRevoked("Its maker has revoked the delegation.")
    if row.key_revoked_at is not None or row.own_key_revoked_at is not None:
        raise DelegationRefused("A key that the delegation rests on was revoked.")
    if row.own_suspended_at is not None:
        raise DelegationRefused("The sub-agent's key is that of a suspended agent.")


def _delegation(row: Any) -> Delegation:
    return Delegation(row.jti, row.delegator_id, row.session_id, row.order_id, row.run)
