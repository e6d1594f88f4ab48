"""Verbs of the identity room: enter, change keys, be suspended, be looked up."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Text, bindparam, select, update

from market.base.caller import BadCommitment, Caller, Signed
from market.base.clock import EPOCH, rfc3339
from market.base.errors import NotFound
from market.base.sql import Sql, insert_ignore
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.identity.callers import MAX_KEYS, active_keys, refuse_suspended, use_up
from market.identity.errors import (
    BadKeyStatement,
    HandleTaken,
    KeyTaken,
    LastKey,
    OverseerNotListed,
    OverseersOnly,
    OwnSuspension,
    StatementUsed,
    TooManyKeys,
    UnknownPrincipal,
)
from market.identity.proofs import MAX_PROOF_SECONDS, read_new_key
from market.identity.tables import agent_keys, agents
from market.protocol.commitments import KeyStatementClaims, RegistrationClaims
from market.protocol.signing import VerifyingKey
from market.protocol.wire import AgentView, KeyView

_ADD_AGENT = Sql(insert_ignore(agents))
_ADD_KEY = Sql(insert_ignore(agent_keys))
_AGENT = select(
    agents.c.id,
    agents.c.handle,
    agents.c.kind,
    agents.c.principal_id,
    agents.c.registered_at,
    agents.c.suspended_at,
)
_BY_ID = Sql(_AGENT.where(agents.c.id == bindparam("id")))
_BY_HANDLE = Sql(_AGENT.where(agents.c.handle == bindparam("handle")))
_LOCK = Sql(_AGENT.where(agents.c.id == bindparam("id")).with_for_update(key_share=True))
_KEYS = Sql(
    select(agent_keys.c.kid, agent_keys.c.jwk, agent_keys.c.added_at, agent_keys.c.revoked_at)
    .where(agent_keys.c.agent_id == bindparam("agent_id"))
    .order_by(agent_keys.c.added_at, agent_keys.c.kid)
    .limit(MAX_KEYS)
)
_REVOKE = Sql(
    update(agent_keys)
    .where(agent_keys.c.kid == bindparam("key_id"))
    .values(
        revoked_at=bindparam("at", type_=UtcDateTime()),
        revocation=bindparam("statement", type_=Text()),
    )
)
_SUSPEND = Sql(
    update(agents)
    .where(agents.c.id == bindparam("agent_id"), agents.c.suspended_at.is_(None))
    .values(
        suspended_at=bindparam("at", type_=UtcDateTime()),
        shut_at=None,
        suspended_by=bindparam("overseer_id"),
        suspension_reason=bindparam("reason"),
    )
)
_REINSTATE = Sql(
    update(agents)
    .where(agents.c.id == bindparam("agent_id"))
    .values(suspended_at=None, suspended_by=None, suspension_reason=None, shut_at=None)
)


def register(uow: UnitOfWork, *, signed: Signed[RegistrationClaims]) -> AgentView:
    """Enter an agent whose key has proved itself. A repeat with the same key returns the agent.

    Raises:
        HandleTaken: another agent has the handle.
        KeyTaken: the key was registered under other particulars, belongs to another agent, or
            was revoked.
        OverseerNotListed: it would be an overseer that the settings do not name.
        UnknownPrincipal: ``principal_id`` is no principal here.
        Suspended: the agent is here, and suspended.
    """
    claims = signed.claims
    known = uow.one(_BY_ID, id=claims.iss)
    if known is not None:
        return _entered_before(uow, claims, known)
    _check_entry(uow, claims)
    added = uow.run(
        _ADD_AGENT,
        id=claims.iss,
        handle=claims.handle,
        kind=claims.kind,
        principal_id=claims.principal_id,
        registration=signed.token,
        registered_at=uow.now,
        shut_at=None,
        suspended_at=None,
        suspended_by=None,
        suspension_reason=None,
    )
    if not added:
        known = uow.one(_BY_ID, id=claims.iss)
        if known is not None:  # another worker has entered it in this moment
            return _entered_before(uow, claims, known)
        raise HandleTaken(f"The handle '{claims.handle}' is taken; choose another.")
    _add_key(uow, agent_id=claims.iss, key=VerifyingKey(claims.jwk), statement=signed.token)
    return agent(uow, agent_id=claims.iss)


def change_keys(
    uow: UnitOfWork, *, caller: Caller, signed: Signed[KeyStatementClaims]
) -> AgentView:
    """Add or revoke a key of the caller. A statement is good for one use.

    Tokens that were given for a revoked key end with it. Revoking a revoked key changes nothing.

    Raises:
        StatementUsed: it was used before.
        LastKey: no active key would remain.
        KeyTaken: the new key is registered already.
        TooManyKeys: the agent has had ``MAX_KEYS``.
        BadKeyStatement: it does not say what to do, or the new key does not agree to it.
    """
    claims = signed.claims
    # Holding the row keeps two workers from revoking the last two keys at once.
    uow.one(_LOCK, id=caller.agent_id)
    keys = uow.all(_KEYS, agent_id=caller.agent_id)
    active = {row.kid for row in keys if row.revoked_at is None}
    if signed.kid not in active:
        raise BadCommitment("The statement is signed by a key that is no longer active.")
    if not 0 < claims.exp - claims.iat <= MAX_PROOF_SECONDS:
        raise BadKeyStatement(f"A statement lives at most {MAX_PROOF_SECONDS} s (exp - iat).")
    expires_at = EPOCH + timedelta(seconds=claims.exp)
    if not use_up(uow, caller.agent_id, "statement", claims.jti, expires_at):
        raise StatementUsed("Sign a new statement, with a new jti.")
    if claims.action == "add":
        if len(keys) >= MAX_KEYS:
            raise TooManyKeys(f"An agent may register {MAX_KEYS} keys in all.", keys=len(keys))
        key = read_new_key(claims, now=uow.now)
        _add_key(uow, agent_id=caller.agent_id, key=key, statement=signed.token)
    else:
        _revoke_key(uow, signed, known={row.kid for row in keys}, active=active)
    return agent(uow, agent_id=caller.agent_id)


def suspend(uow: UnitOfWork, *, caller: Caller, agent_id: str, reason: str) -> AgentView:
    """Shut an agent out: its tokens stop at once. A repeat changes nothing.

    Raises:
        OverseersOnly: the caller is none.
        OwnSuspension: the overseer named itself.
    """
    _need_overseer(caller)
    if agent_id == caller.agent_id:
        raise OwnSuspension("Ask another overseer.")
    uow.run(_SUSPEND, agent_id=agent_id, at=uow.now, overseer_id=caller.agent_id, reason=reason)
    return agent(uow, agent_id=agent_id)


def reinstate(uow: UnitOfWork, *, caller: Caller, agent_id: str) -> AgentView:
    """Let a suspended agent in again. A repeat changes nothing.

    Raises:
        OverseersOnly: the caller is none.
    """
    _need_overseer(caller)
    uow.run(_REINSTATE, agent_id=agent_id)
    return agent(uow, agent_id=agent_id)


def agent(snapshot: Snapshot, *, agent_id: str) -> AgentView:
    """Return an agent with all keys it ever had. Agents are public.

    Raises:
        NotFound: no agent has this id.
    """
    return _view(snapshot, snapshot.one(_BY_ID, id=agent_id))


def agent_by_handle(snapshot: Snapshot, *, handle: str) -> AgentView:
    """Return the agent that people know as ``handle``.

    Raises:
        NotFound: nobody has this handle.
    """
    return _view(snapshot, snapshot.one(_BY_HANDLE, handle=handle))


def _entered_before(uow: UnitOfWork, claims: RegistrationClaims, known: Any) -> AgentView:
    then = (known.handle, known.kind, known.principal_id)
    if then != (claims.handle, claims.kind, claims.principal_id):
        raise KeyTaken("This key entered before, with another handle, kind or principal.")
    refuse_suspended(known)
    if claims.iss not in active_keys(uow, agent_id=claims.iss):
        raise KeyTaken("This key was revoked; use an active key of the agent.")
    return _view(uow, known)


def _check_entry(uow: UnitOfWork, claims: RegistrationClaims) -> None:
    if claims.kind == "overseer" and claims.iss not in uow.settings.overseer_ids:
        raise OverseerNotListed(
            "Add the agent's id to MARKET_OVERSEER_IDS and start the market again.",
            agent_id=claims.iss,
        )
    if claims.principal_id is None:
        return
    if claims.kind not in ("buyer", "seller"):
        raise UnknownPrincipal("Only buyers and sellers act for a principal.")
    principal = uow.one(_BY_ID, id=claims.principal_id)
    if principal is None or principal.kind != "principal":
        raise UnknownPrincipal("Register the principal before the agents that act for it.")


def _add_key(uow: UnitOfWork, *, agent_id: str, key: VerifyingKey, statement: str) -> None:
    added = uow.run(
        _ADD_KEY,
        kid=key.kid,
        agent_id=agent_id,
        jwk=key.jwk,
        statement=statement,
        added_at=uow.now,
        revoked_at=None,
        revocation=None,
    )
    if not added:
        raise KeyTaken("A key belongs to one agent, once; make a new one.")


def _revoke_key(
    uow: UnitOfWork, signed: Signed[KeyStatementClaims], *, known: set[str], active: set[str]
) -> None:
    kid = signed.claims.kid
    if kid is None or signed.claims.jwk is not None or signed.claims.proof is not None:
        raise BadKeyStatement("To revoke a key, send its 'kid' alone.")
    if kid not in known:
        raise BadKeyStatement("The agent has no key with this 'kid'.")
    if active == {kid}:
        raise LastKey("Add another key before revoking this one.")
    if kid in active:
        uow.run(_REVOKE, key_id=kid, at=uow.now, statement=signed.token)


def _need_overseer(caller: Caller) -> None:
    caller.need("oversee")
    if not caller.is_overseer:
        raise OverseersOnly("Suspension is for overseers.")


def _view(snapshot: Snapshot, row: Any) -> AgentView:
    if row is None:
        raise NotFound("No agent has this id or handle.")
    return AgentView(
        id=row.id,
        handle=row.handle,
        kind=row.kind,
        principal_id=row.principal_id,
        registered_at=rfc3339(row.registered_at),
        suspended_at=rfc3339(row.suspended_at) if row.suspended_at else None,
        keys=[_key_view(key) for key in snapshot.all(_KEYS, agent_id=row.id)],
    )


def _key_view(row: Any) -> KeyView:
    return KeyView(
        kid=row.kid,
        jwk=row.jwk,
        added_at=rfc3339(row.added_at),
        revoked_at=rfc3339(row.revoked_at) if row.revoked_at else None,
    )
