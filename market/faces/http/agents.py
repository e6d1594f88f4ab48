"""Agents over HTTP: register, look up, change keys; overseers suspend and reinstate."""

from typing import Any

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from market import identity
from market.base.caller import Caller
from market.base.errors import NotFound
from market.base.store import Store
from market.faces.http import acts
from market.faces.http.binding import get, post
from market.faces.http.call import Call
from market.faces.http.desk import Desk
from market.faces.http.quotas import quotas_of
from market.identity import ALL_SCOPES
from market.protocol.commitments import KEY_STATEMENT, KeyStatementClaims
from market.protocol.ids import AgentId
from market.protocol.text import Slug
from market.protocol.wire import (
    AgentView,
    ChangeKeys,
    Page,
    QuotaView,
    Register,
    Registered,
    Suspend,
)


class AgentController(Controller):
    path = "/v1/agents"
    tags = ("agents",)

    @post(refuses=(401, 403, 409), location="/v1/agents/{agent.id}")
    async def register_agent(
        self, request: JSONBody[Register], call: NamedDependency[Call]
    ) -> Registered:
        """Enter the market with a key and a handle; the answer carries the first access token.

        A repeat with the same key and particulars returns the agent again.
        """
        desk = call.desk
        issuer, now = desk.settings.issuer, desk.clock.now()
        signed = identity.read_registration(request.proof, issuer=issuer, now=now)
        agent = await desk.store.write(acts.enter, signed=signed)
        token = identity.issue_access_token(
            signer=desk.store.signer,
            issuer=issuer,
            audience=issuer + identity.REST,
            agent_id=agent.id,
            key_id=signed.kid,
            scopes=identity.granted_scopes(agent.kind, None),
            jti=call.request_id,
            now=now,
            lasts=desk.settings.token_seconds,
        )
        return Registered(agent=agent, token=token)

    @get(scopes=("read",))
    async def find_agents(
        self,
        handle: FromQuery[Slug],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> Page[AgentView]:
        """Look an agent up by its handle; the page has one item or none."""
        caller.need("read")
        return await store.read(acts.agents_by_handle, handle=handle)

    @get("/{agent_id:str}", refuses=(404,), scopes=("read",))
    async def read_agent(
        self,
        agent_id: FromPath[AgentId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> AgentView:
        """Say who an agent is: handle, kind, principal, keys, since when."""
        caller.need("read")
        return await store.read(identity.agent, agent_id=agent_id)

    @get("/{agent_id:str}/keys", refuses=(404,))
    async def read_agent_keys(
        self, agent_id: FromPath[AgentId], store: NamedDependency[Store]
    ) -> dict[str, Any]:
        """List the keys that sign for an agent, as a JWK Set. Public."""
        keys = await store.read(identity.active_keys, agent_id=agent_id)
        return identity.key_set(keys.values())

    @post(
        "/{agent_id:str}/keys", status=200, refuses=(403, 404, 409), scopes=ALL_SCOPES, frees=True
    )
    async def change_agent_keys(
        self,
        agent_id: FromPath[AgentId],
        request: JSONBody[ChangeKeys],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> AgentView:
        """Add or revoke one of the caller's own keys, by a statement signed with an active one."""
        signed = _itself(caller, agent_id).open(
            request.statement,
            typ=KEY_STATEMENT,
            claims=KeyStatementClaims,
            now=desk.clock.now(),
        )
        agent = await desk.store.write(identity.change_keys, caller=caller, signed=signed)
        desk.doors.forget(agent_id)
        return agent

    @post(
        "/{agent_id:str}/suspend",
        status=200,
        refuses=(403, 404, 409),
        scopes=("oversee",),
        frees=True,
    )
    async def suspend_agent(
        self,
        agent_id: FromPath[AgentId],
        request: JSONBody[Suspend],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> AgentView:
        """Shut an agent out: its tokens stop at once, its services are hidden. Overseers only."""
        agent = await desk.store.write(
            acts.suspend, caller=caller, agent_id=agent_id, reason=request.reason
        )
        desk.doors.forget(agent_id)
        return agent

    @post("/{agent_id:str}/reinstate", status=200, refuses=(403, 404), scopes=("oversee",))
    async def reinstate_agent(
        self,
        agent_id: FromPath[AgentId],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> AgentView:
        """Let a suspended agent in again. Overseers only."""
        return await desk.store.write(acts.reinstate, caller=caller, agent_id=agent_id)


class MeController(Controller):
    tags = ("agents",)

    @get("/v1/me", scopes=ALL_SCOPES)
    async def read_me(
        self, caller: NamedDependency[Caller], store: NamedDependency[Store]
    ) -> AgentView:
        """Say who the caller is."""
        return await store.read(identity.agent, agent_id=caller.agent_id)

    @get("/v1/quota", scopes=ALL_SCOPES)
    async def read_quota(
        self, caller: NamedDependency[Caller], store: NamedDependency[Store]
    ) -> Page[QuotaView]:
        """Say how much the caller has of what is limited, and how much it may have."""
        return await store.scan(quotas_of, agent_id=caller.agent_id)


def _itself(caller: Caller, agent_id: str) -> Caller:
    """Return the caller, if the path names it; what is another's is not there for it."""
    if caller.agent_id != agent_id:
        raise NotFound("There is nothing at this address for you.")
    return caller
