"""What follows a delivery: explanations, refunds, disputes."""

from collections.abc import Sequence
from urllib.parse import quote as url_part

import msgspec

from buyer_agents.connection import IDEMPOTENCY_KEY, Connection
from market.protocol import wire
from market.protocol.wire import Page


class DisputeVerbs(Connection):
    """What buyers, sellers and overseers do about a delivery that is not right."""

    async def explain(self, order_id: str) -> wire.ExplainView:
        """Ask what became of an order and why, as anyone who takes part in it."""
        return await self.call("GET", f"/v1/orders/{url_part(order_id)}/explain", wire.ExplainView)

    async def refund(
        self,
        order_id: str,
        reason: str,
        *,
        amount_minor: int | None = None,
        idempotency_key: str | None = None,
    ) -> wire.OrderView:
        """Give back what was paid for an order, or a part of it, as its seller."""
        body = wire.GiveRefund(amount_minor=amount_minor, reason=reason)
        path = f"/v1/orders/{url_part(order_id)}/refund"
        return await self.create(path, wire.OrderView, body, idempotency_key)

    async def open_dispute(
        self,
        order_id: str,
        reason: str,
        detail: str = "",
        *,
        claim_minor: int | None = None,
        evidence: Sequence[int] = (),
        idempotency_key: str | None = None,
    ) -> wire.DisputeView:
        """Dispute a delivery as its buyer; ``evidence`` are offsets in the session's log."""
        asked = {
            "reason": reason,
            "detail": detail,
            "claim_minor": claim_minor,
            "evidence": list(evidence),
        }
        body = msgspec.convert(asked, wire.OpenDispute)
        path = f"/v1/orders/{url_part(order_id)}/disputes"
        return await self.create(path, wire.DisputeView, body, idempotency_key)

    async def disputes(
        self,
        *,
        state: str | None = None,
        order_id: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[wire.DisputeView]:
        """List disputes, newest first: one's own, or all for an overseer."""
        return await self.call(
            "GET", "/v1/disputes", Page[wire.DisputeView],
            query={"state": state, "order_id": order_id, "cursor": cursor, "limit": limit},
        )  # fmt: skip

    async def dispute(self, dispute_id: str) -> wire.DisputeView:
        """Return where a dispute stands."""
        return await self.call("GET", f"/v1/disputes/{url_part(dispute_id)}", wire.DisputeView)

    async def answer_dispute(
        self,
        dispute_id: str,
        answer: str,
        detail: str = "",
        *,
        concede_minor: int | None = None,
        evidence: Sequence[int] = (),
        idempotency_key: str | None = None,
    ) -> wire.DisputeView:
        """``concede`` a claim, all or a part of it, or ``contest`` it, as the order's seller."""
        said = {
            "answer": answer,
            "detail": detail,
            "concede_minor": concede_minor,
            "evidence": list(evidence),
        }
        body = msgspec.convert(said, wire.AnswerDispute)
        path = f"/v1/disputes/{url_part(dispute_id)}/answer"
        return await self.create(path, wire.DisputeView, body, idempotency_key)

    async def withdraw_dispute(
        self, dispute_id: str, *, idempotency_key: str | None = None
    ) -> wire.DisputeView:
        """Take a dispute back, as the buyer who opened it."""
        path = f"/v1/disputes/{url_part(dispute_id)}/withdraw"
        headers = {IDEMPOTENCY_KEY: idempotency_key or self.nonce()}
        return await self.call("POST", path, wire.DisputeView, headers=headers)

    async def resolve_dispute(
        self,
        dispute_id: str,
        refund_minor: int,
        reason: str,
        *,
        idempotency_key: str | None = None,
    ) -> wire.DisputeView:
        """Decide a dispute as an overseer: so much goes back to the buyer."""
        body = wire.ResolveDispute(refund_minor=refund_minor, reason=reason)
        path = f"/v1/disputes/{url_part(dispute_id)}/resolve"
        return await self.create(path, wire.DisputeView, body, idempotency_key)
