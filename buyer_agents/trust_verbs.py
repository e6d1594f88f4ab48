"""What anybody may know of trust, and what overseers do about it."""

from urllib.parse import quote as url_part

from buyer_agents.connection import Connection
from market.protocol import wire
from market.protocol.wire import Page


class TrustVerbs(Connection):
    """Anchors, the facts behind the scores, standings, rings."""

    async def anchors(
        self, *, cursor: str | None = None, limit: int = 100
    ) -> Page[wire.AnchorView]:
        query = {"cursor": cursor, "limit": limit}
        return await self.call("GET", "/v1/trust/anchors", Page[wire.AnchorView], query=query)

    async def propose_anchor(self, agent_id: str, reason: str) -> wire.AnchorView:
        """Name a buyer whose word is to be taken; another overseer confirms. Overseers only."""
        body = wire.ProposeAnchor(agent_id=agent_id, reason=reason)
        return await self.call("POST", "/v1/trust/anchors", wire.AnchorView, body=body)

    async def confirm_anchor(self, agent_id: str, reason: str) -> wire.AnchorView:
        return await self._move_anchor(agent_id, "confirm", reason)

    async def revoke_anchor(self, agent_id: str, reason: str) -> wire.AnchorView:
        return await self._move_anchor(agent_id, "revoke", reason)

    async def trust_batch(self) -> wire.TrustBatchView:
        return await self.call("GET", "/v1/trust/batch", wire.TrustBatchView)

    async def make_trust_batch(self) -> wire.TrustBatchView:
        """Have all facts weighed anew now. Overseers only."""
        return await self.call("POST", "/v1/trust/batches", wire.TrustBatchView)

    async def trust_facts(
        self, *, cursor: str | None = None, limit: int = 1_000
    ) -> wire.TrustFactsView:
        """Read a page of the facts behind all scores; overseers read them plain."""
        query = {"cursor": cursor, "limit": limit}
        return await self.call("GET", "/v1/trust/facts", wire.TrustFactsView, query=query)

    async def trust_standings(
        self, *, cursor: str | None = None, limit: int = 100
    ) -> Page[wire.TrustStandingView]:
        query = {"cursor": cursor, "limit": limit}
        return await self.call(
            "GET", "/v1/trust/standings", Page[wire.TrustStandingView], query=query
        )

    async def rings(self) -> Page[wire.RingView]:
        """Read which groups of sellers look closed. Overseers only."""
        return await self.call("GET", "/v1/trust/rings", Page[wire.RingView])

    async def _move_anchor(self, agent_id: str, act: str, reason: str) -> wire.AnchorView:
        path = f"/v1/trust/anchors/{url_part(agent_id)}/{act}"
        body = wire.DecideAnchor(reason=reason)
        return await self.call("POST", path, wire.AnchorView, body=body)
