"""What buyers and sellers do with each other: catalog, quotes, orders, reviews."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote as url_part

import msgspec

from buyer_agents.connection import Connection, read_by
from market.protocol import commitments as signed
from market.protocol import wire
from market.protocol.canonical import digest
from market.protocol.manifest import manifest_digest
from market.protocol.signing import BadSignature, read_payload
from market.protocol.wire import Page


class TradeVerbs(Connection):
    async def publish(
        self, manifest: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> wire.ServiceView:
        """Publish a version of a service, signed; ``manifest`` is its whole tree."""
        commitment = await self.sign(
            signed.MANIFEST, signed.ManifestClaims, manifest=dict(manifest)
        )
        body = wire.Publish(manifest=commitment)
        return await self.create("/v1/services", wire.ServiceView, body, idempotency_key)

    async def services(self, **query: str | int | float | None) -> Page[wire.FoundView]:
        """Search the catalog.

        ``query`` may have q, tag, max_price_minor, min_trust, max_p95_ms, refund, session_id,
        limit and cursor; the market refuses any other name.
        """
        return await self.call("GET", "/v1/services", Page[wire.FoundView], query=query)

    async def service(self, service_id: str, *, session_id: str | None = None) -> wire.ServiceView:
        path = f"/v1/services/{url_part(service_id)}"
        return await self.call("GET", path, wire.ServiceView, query={"session_id": session_id})

    async def trust(self, service_id: str, *, session_id: str | None = None) -> wire.TrustView:
        path = f"/v1/services/{url_part(service_id)}/trust"
        return await self.call("GET", path, wire.TrustView, query={"session_id": session_id})

    async def reviews(
        self, service_id: str, *, cursor: str | None = None, limit: int = 100
    ) -> Page[wire.ReviewView]:
        path = f"/v1/services/{url_part(service_id)}/reviews"
        return await self.call(
            "GET", path, Page[wire.ReviewView], query={"cursor": cursor, "limit": limit}
        )

    async def ask_quote(
        self,
        service_id: str,
        request: Mapping[str, Any],
        *,
        session_id: str | None = None,
        max_minor: int | None = None,
        max_units: int | None = None,
        idempotency_key: str | None = None,
    ) -> wire.QuoteView:
        """Ask the price of exactly this input. Asking twice gives two quotes and binds nobody.

        ``max_minor`` and ``max_units`` are the most that it may be.
        """
        body = wire.AskQuote(
            service_id=service_id, input=dict(request), session_id=session_id,
            max_minor=max_minor, max_units=max_units,
        )  # fmt: skip
        return await self.create("/v1/quotes", wire.QuoteView, body, idempotency_key)

    async def quote(self, quote_id: str) -> wire.QuoteView:
        return await self.call("GET", f"/v1/quotes/{url_part(quote_id)}", wire.QuoteView)

    async def read_quote(self, quote: wire.QuoteView) -> signed.QuoteClaims:
        """Return what the market signed, which is what an order pays for.

        Raises:
            BadSignature: the market did not sign it, or its digest or price is another.
        """
        claims = await self.read_market(quote.quote, typ=signed.QUOTE, claims=signed.QuoteClaims)
        shown = (quote.digest, quote.amount_minor, quote.currency, quote.seller_id)
        meant = (digest(read_payload(quote.quote)), claims.amount_minor, claims.currency)
        if shown != (*meant, claims.seller_id):
            raise BadSignature("the quote shows other terms than it signs")
        return claims

    # Bargaining

    async def counter(
        self,
        quote: wire.QuoteView,
        amount_minor: int,
        *,
        note: str = "",
        session_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> wire.CounterView:
        """Name a lower price for a quote's work; the quote stays good at its own."""
        body = wire.MakeCounter(amount_minor=amount_minor, note=note, session_id=session_id)
        path = f"/v1/quotes/{url_part(quote.id)}/counter"
        return await self.create(path, wire.CounterView, body, idempotency_key)

    async def counters(
        self, *, state: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[wire.CounterView]:
        return await self.call(
            "GET", "/v1/counters", Page[wire.CounterView],
            query={"state": state, "cursor": cursor, "limit": limit},
        )  # fmt: skip

    async def counter_offer(self, counter_id: str) -> wire.CounterView:
        return await self.call("GET", f"/v1/counters/{url_part(counter_id)}", wire.CounterView)

    async def answer_counter(
        self, counter: wire.CounterView, amount_minor: int, *, expires_seconds: int = 300
    ) -> wire.CounterView:
        """Offer the work of a counter-offer for another amount, as its seller; signed."""
        commitment = await self.sign(
            signed.OFFER, signed.OfferClaims, counter_id=counter.id, quote_id=counter.quote_id,
            quote_digest=counter.quote_digest, amount_minor=amount_minor,
            currency=counter.currency, exp=self.moment() + expires_seconds,
        )  # fmt: skip
        path = f"/v1/counters/{url_part(counter.id)}/answer"
        body = wire.AnswerCounter(commitment=commitment)
        return await self.call("POST", path, wire.CounterView, body=body, repeatable=True)

    async def decline_counter(self, counter_id: str, reason: str) -> wire.CounterView:
        path = f"/v1/counters/{url_part(counter_id)}/decline"
        body = wire.DeclineCounter(reason=reason)
        return await self.call("POST", path, wire.CounterView, body=body, repeatable=True)

    async def read_offer(self, quote: wire.QuoteView) -> signed.OfferClaims:
        """Return what the seller itself signed for a bargained quote.

        Raises:
            BadSignature: no published key of the seller signed it, or it is for another amount.
        """
        claims = await self.read_quote(quote)
        if claims.offer is None:
            raise BadSignature("the quote was not bargained: only the market signed it")
        keys = await self.published_keys(f"/v1/agents/{url_part(quote.seller_id)}/keys")
        offer = read_by(keys, claims.offer, typ=signed.OFFER, claims=signed.OfferClaims)
        said = (offer.iss, offer.quote_id, offer.amount_minor, offer.currency)
        meant = (quote.seller_id, quote.origin_quote_id, quote.amount_minor, quote.currency)
        if said != meant:
            raise BadSignature("the seller signed another offer")
        return offer

    async def read_manifest(self, service: wire.ServiceView) -> dict[str, Any]:
        """Return the manifest that the seller itself signed.

        Raises:
            BadSignature: no published key of the seller signed it, or it is another manifest.
        """
        keys = await self.published_keys(f"/v1/agents/{url_part(service.seller_id)}/keys")
        claims = read_by(
            keys, service.manifest_jws, typ=signed.MANIFEST, claims=signed.ManifestClaims
        )
        if claims.iss != service.seller_id or manifest_digest(claims.manifest) != (
            service.manifest_digest
        ):
            raise BadSignature("the seller signed another manifest")
        return claims.manifest

    # Orders

    async def place_order(
        self,
        quote: wire.QuoteView,
        *,
        mandate_id: str | None = None,
        session_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> wire.OrderView:
        """Commit to a quote: its price goes into escrow."""
        commitment = await self.sign(
            signed.ORDER, signed.OrderClaims, quote_id=quote.id, quote_digest=quote.digest,
            seller_id=quote.seller_id, amount_minor=quote.amount_minor, currency=quote.currency,
            mandate_id=mandate_id,
        )  # fmt: skip
        body = wire.PlaceOrder(quote_id=quote.id, commitment=commitment, session_id=session_id)
        return await self.create("/v1/orders", wire.OrderView, body, idempotency_key)

    async def orders(
        self,
        *,
        state: str | None = None,
        session_id: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[wire.OrderView]:
        return await self.call(
            "GET", "/v1/orders", Page[wire.OrderView],
            query={"state": state, "session_id": session_id, "cursor": cursor, "limit": limit},
        )  # fmt: skip

    async def approvals(
        self, *, cursor: str | None = None, limit: int = 100
    ) -> Page[wire.ApprovalView]:
        """List the orders that wait for this principal's approval, the oldest first."""
        return await self.call(
            "GET", "/v1/approvals", Page[wire.ApprovalView],
            query={"cursor": cursor, "limit": limit},
        )  # fmt: skip

    async def order(self, order_id: str) -> wire.OrderView:
        return await self.call("GET", f"/v1/orders/{url_part(order_id)}", wire.OrderView)

    async def start(self, order_id: str) -> wire.OrderView:
        return await self._move(order_id, "start")

    async def heartbeat(self, order_id: str) -> wire.LeaseView:
        """Say, as its seller, that work on an order goes on."""
        path = f"/v1/orders/{url_part(order_id)}/heartbeat"
        return await self.call("POST", path, wire.LeaseView, repeatable=True)

    async def chunk(
        self, order_id: str, index: int, output: Mapping[str, Any], *, units: int
    ) -> wire.ChunkView:
        """Deliver chunk ``index``; sending an accepted one again changes nothing."""
        path = f"/v1/orders/{url_part(order_id)}/chunks"
        body = wire.Chunk(index=index, units=units, output=dict(output))
        return await self.call("POST", path, wire.ChunkView, body=body, repeatable=True)

    async def complete(
        self, order_id: str, *, chunks: int, units: int, delivery_digest: str
    ) -> wire.OrderView:
        """Declare the delivery complete, signed over the digest of all chunks."""
        commitment = await self.sign(
            signed.DELIVERY, signed.DeliveryClaims, order_id=order_id, chunks=chunks, units=units,
            digest=delivery_digest,
        )  # fmt: skip
        body = wire.CompleteDelivery(commitment=commitment)
        return await self._move(order_id, "complete", body)

    async def accept(self, order_id: str) -> wire.OrderView:
        return await self._move(order_id, "accept")

    async def release(self, order_id: str, *, units: int | None = None) -> wire.OrderView:
        """Pay for the first ``units``, or for all that is delivered so far, while work goes on."""
        return await self._move(order_id, "release", wire.ReleasePayment(units=units))

    async def fail(self, order_id: str, reason: str) -> wire.OrderView:
        """Give an order up; the buyer gets everything back."""
        return await self._move(order_id, "fail", wire.FailOrder(reason=reason))

    async def support(
        self,
        order_id: str,
        action: str,
        reason: str = "",
        *,
        amount_minor: int | None = None,
        idempotency_key: str | None = None,
    ) -> wire.SupportView:
        """Ask for ``status``, ``explain``, ``redo`` or ``refund``; the policy answers at once."""
        asked = {"action": action, "reason": reason, "amount_minor": amount_minor}
        body = msgspec.convert(asked, wire.AskSupport)
        path = f"/v1/orders/{url_part(order_id)}/support"
        return await self.create(path, wire.SupportView, body, idempotency_key)

    async def receipts(self, order_id: str) -> list[wire.ReceiptView]:
        path = f"/v1/orders/{url_part(order_id)}/receipts"
        return await self.call("GET", path, list[wire.ReceiptView])

    async def receipt(self, receipt_id: str) -> wire.ReceiptView:
        return await self.call("GET", f"/v1/receipts/{url_part(receipt_id)}", wire.ReceiptView)

    async def read_receipt(self, receipt: wire.ReceiptView) -> signed.ReceiptClaims:
        """Return what the market signed about how an order ended.

        Raises:
            BadSignature: the market did not sign it.
        """
        return await self.read_market(
            receipt.receipt, typ=signed.RECEIPT, claims=signed.ReceiptClaims
        )

    # After settlement

    async def review(
        self,
        order_id: str,
        receipt_id: str,
        verdict: signed.Verdict,
        *,
        comment: str = "",
        tags: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> wire.ReviewView:
        commitment = await self.sign(
            signed.REVIEW, signed.ReviewClaims, order_id=order_id, receipt_id=receipt_id,
            verdict=verdict, comment=comment, tags=list(tags),
        )  # fmt: skip
        body = wire.PostReview(commitment=commitment)
        return await self.create("/v1/reviews", wire.ReviewView, body, idempotency_key)

    async def recommend(
        self,
        service_id: str,
        receipt_id: str,
        recipient_ids: Sequence[str],
        *,
        comment: str = "",
        idempotency_key: str | None = None,
    ) -> wire.RecommendationView:
        commitment = await self.sign(
            signed.RECOMMENDATION, signed.RecommendationClaims, receipt_id=receipt_id,
            service_id=service_id, recipient_ids=list(recipient_ids), comment=comment,
        )  # fmt: skip
        body = wire.Recommend(commitment=commitment)
        path = "/v1/recommendations"
        return await self.create(path, wire.RecommendationView, body, idempotency_key)

    async def recommendations(
        self, *, cursor: str | None = None, limit: int = 100
    ) -> Page[wire.RecommendationView]:
        return await self.call(
            "GET", "/v1/recommendations", Page[wire.RecommendationView],
            query={"cursor": cursor, "limit": limit},
        )  # fmt: skip

    async def _move(
        self, order_id: str, move: str, body: wire.Request | None = None
    ) -> wire.OrderView:
        """Move an order; the state it leads to makes a repeat harmless."""
        path = f"/v1/orders/{url_part(order_id)}/{move}"
        return await self.call("POST", path, wire.OrderView, body=body, repeatable=True)
