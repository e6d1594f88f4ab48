"""Trust over HTTP: anchors, facts for others to recompute, standings, rings, a batch on demand."""

from typing import Final

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from market import identity, trust
from market.base.caller import Caller
from market.base.errors import Overloaded
from market.base.paging import Cursor, Limit
from market.base.store import Store
from market.base.work import UnitOfWork
from market.faces.http.binding import get, post
from market.faces.http.desk import Desk
from market.protocol.ids import AgentId
from market.protocol.wire import (
    AnchorView,
    DecideAnchor,
    Page,
    ProposeAnchor,
    RingView,
    TrustBatchView,
    TrustFactsView,
    TrustStandingView,
)
from market.trust import batches

_TRIES: Final = 3
"""How often a batch is prepared anew because another, or a late fact, came first."""

_BATCH: Final = "a trust batch"
"""The one line for all batches, where other heavy work has one for each agent."""


class TrustController(Controller):
    path = "/v1/trust"
    tags = ("trust",)

    @get("/anchors", scopes=("read",))
    async def list_anchors(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[AnchorView]:
        """List the buyers whose word is taken, and everything that was ever done about them."""
        caller.need("read")
        return await store.scan(trust.list_anchors, cursor=cursor, limit=limit)

    @post("/anchors", refuses=(403, 404), scopes=("oversee",))
    async def propose_anchor(
        self,
        request: JSONBody[ProposeAnchor],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> AnchorView:
        """Propose a buyer as an anchor, as an overseer. Another overseer has to confirm it."""
        return await store.write(_propose, caller=caller, request=request)

    @post(
        "/anchors/{agent_id:str}/confirm", status=200, refuses=(403, 404, 409), scopes=("oversee",)
    )
    async def confirm_anchor(
        self,
        agent_id: FromPath[AgentId],
        request: JSONBody[DecideAnchor],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> AnchorView:
        """Make an anchor of a buyer that another overseer proposed. A repeat changes nothing."""
        return await store.write(
            trust.confirm_anchor, caller=caller, agent_id=agent_id, reason=request.reason
        )

    @post("/anchors/{agent_id:str}/revoke", status=200, refuses=(403, 404), scopes=("oversee",))
    async def revoke_anchor(
        self,
        agent_id: FromPath[AgentId],
        request: JSONBody[DecideAnchor],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> AnchorView:
        """Take an anchor away, as one overseer, at once. A repeat changes nothing."""
        return await store.write(
            trust.revoke_anchor, caller=caller, agent_id=agent_id, reason=request.reason
        )

    @get("/batch", scopes=("read",))
    async def read_trust_batch(
        self, caller: NamedDependency[Caller], store: NamedDependency[Store]
    ) -> TrustBatchView:
        """Say what the current batch fixed: parameters, anchors, the day that ages count from."""
        caller.need("read")
        return await store.read(trust.batch)

    @post("/batches", refuses=(403, 429, 503), scopes=("oversee",))
    async def make_trust_batch(
        self, caller: NamedDependency[Caller], desk: NamedDependency[Desk]
    ) -> TrustBatchView:
        """Weigh all facts anew now, as an overseer, whether a batch is due or not.

        One at a time, whoever asks; a few more wait in line.
        """
        caller.need("oversee")
        store = desk.store
        async with desk.heavy.turn(_BATCH):
            for _ in range(_TRIES):
                prepared = await store.scan(batches.prepare)
                if await store.write(batches.put, prepared=prepared):
                    return await store.read(trust.batch)
        raise Overloaded("Other batches came first.", retry_after_seconds=1)

    @get("/facts", scopes=("read",))
    async def list_trust_facts(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        limit: FromQuery[trust.FactLimit] = 500,
        cursor: FromQuery[Cursor | None] = None,
    ) -> TrustFactsView:
        """List the facts behind all scores, by number: for overseers plain, else under names.

        A name stands for a buyer at one seller, until the next batch.
        """
        caller.need("read")
        return await store.scan(trust.facts_page, caller=caller, cursor=cursor, limit=limit)

    @get("/standings", scopes=("read",))
    async def list_standings(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        limit: FromQuery[Limit] = 100,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[TrustStandingView]:
        """List every seller's sums, as they are kept, with the score that they make."""
        caller.need("read")
        return await store.scan(trust.list_standings, cursor=cursor, limit=limit)

    @get("/rings", refuses=(403,), scopes=("oversee",))
    async def list_rings(
        self, caller: NamedDependency[Caller], desk: NamedDependency[Desk]
    ) -> Page[RingView]:
        """List groups of sellers praised by buyers who buy nowhere else, as an overseer."""
        async with desk.heavy.turn(caller.agent_id):
            return await desk.store.scan(trust.list_rings, caller=caller)


def _propose(uow: UnitOfWork, *, caller: Caller, request: ProposeAnchor) -> AnchorView:
    """Propose an agent; trust asks nobody, so what it is registered as is looked up here."""
    caller.need("oversee")
    agent = identity.agent(uow, agent_id=request.agent_id)
    return trust.propose_anchor(
        uow, caller=caller, agent_id=agent.id, kind=agent.kind, reason=request.reason
    )
