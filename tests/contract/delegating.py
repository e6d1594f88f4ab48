"""Delegations as the wire sees them: signed by one agent, traded for a token by another key."""

from typing import Any

import httpx

from market import identity
from market.protocol.commitments import Confirmation, DelegationClaims
from tests.contract.agents import Agent, nonce

ALL = ["read", "write", "control"]


def delegation(giver: Agent, to: Agent, session_id: str, **members: Any) -> str:
    """What ``giver`` signs to let the key of ``to`` into a session, for ten minutes."""
    claims = {
        "exp": giver.now + 600,
        "jti": nonce(),
        "sub": to.id,
        "cnf": Confirmation(jwk=to.key.public.jwk),
        "session_id": session_id,
        "actions": ALL,
    } | members
    return giver.sign(DelegationClaims, **claims)


async def exchange(sub_agent: Agent, token: str, **fields: str) -> httpx.Response:
    """Ask for an access token with a delegation and an assertion of the sub-agent's own."""
    form = {
        "grant_type": identity.TOKEN_EXCHANGE,
        "subject_token": token,
        "subject_token_type": identity.DELEGATION_TYPE,
        "actor_token": sub_agent.assertion(),
        "actor_token_type": identity.JWT_TYPE,
    } | fields
    return await sub_agent.http.post("/oauth/token", data=form)


async def let_in(giver: Agent, to: Agent, session_id: str, **members: Any) -> str:
    """Give ``to`` a delegated token, and return the delegation's name (jti)."""
    name = members.setdefault("jti", nonce())
    answer = await exchange(to, delegation(giver, to, session_id, **members))
    assert answer.status_code == 200, answer.text
    to.token = answer.json()["access_token"]
    return str(name)
