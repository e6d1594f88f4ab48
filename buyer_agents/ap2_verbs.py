"""AP2 0.2 as an agent speaks it: open mandates by a principal, closed ones by its buyer.

Both sign with P-256 keys. Where an agent's first key is another, give the P-256 one as ``key``;
it must have been added to the agent's keys (``add_key``).
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote as url_part

import msgspec

from buyer_agents.connection import Connection
from market.protocol import ap2, wire
from market.protocol import commitments as signed
from market.protocol.signing import BadSignature, SigningKey


class Ap2Verbs(Connection):
    async def give_ap2_mandate(
        self,
        buyer_id: str,
        constraints: Sequence[Mapping[str, Any]],
        *,
        agent_jwk: Mapping[str, Any],
        seconds: int,
        checkout: Sequence[Mapping[str, Any]] | None = None,
        key: SigningKey | None = None,
        idempotency_key: str | None = None,
    ) -> wire.MandateView:
        """Let a buyer spend within AP2's constraints of payments, and of checkouts if given.

        ``agent_jwk`` is the P-256 key with which the buyer will close it.
        """
        holder = ap2.Holder(jwk=dict(agent_jwk))
        iat, exp = self.moment(), self.moment() + seconds
        rules = [dict(each) for each in constraints]
        payment = ap2.OpenPayment(constraints=rules, cnf=holder, iat=iat, exp=exp)
        beside = None
        if checkout is not None:
            rules = [dict(each) for each in checkout]
            opened = ap2.OpenCheckout(constraints=rules, cnf=holder, iat=iat, exp=exp)
            beside = self._open(opened, key)
        body = wire.GiveAp2Mandate(
            buyer_id=buyer_id,
            payment=self._open(payment, key),
            checkout=beside,
        )
        return await self.create("/v1/mandates/ap2", wire.MandateView, body, idempotency_key)

    async def checkout(self, quote_id: str) -> wire.CheckoutView:
        """Get a quote as a checkout that the market signs for its seller."""
        path = f"/v1/quotes/{url_part(quote_id)}/checkout"
        return await self.call("POST", path, wire.CheckoutView, repeatable=True)

    async def place_ap2_order(
        self,
        quote: wire.QuoteView,
        mandate_id: str,
        *,
        session_id: str | None = None,
        key: SigningKey | None = None,
        idempotency_key: str | None = None,
    ) -> wire.OrderView:
        """Commit to a quote under an AP2 mandate, and close the mandate over its checkout."""
        path = f"/v1/mandates/{url_part(mandate_id)}"
        mandate = await self.call("GET", path, wire.MandateView)
        closed = self.close_mandate(mandate, await self.checkout(quote.id), key=key)
        commitment = await self.sign(
            signed.ORDER, signed.OrderClaims, quote_id=quote.id, quote_digest=quote.digest,
            seller_id=quote.seller_id, amount_minor=quote.amount_minor, currency=quote.currency,
            mandate_id=mandate_id,
        )  # fmt: skip
        body = wire.PlaceOrder(
            quote_id=quote.id, commitment=commitment, session_id=session_id, ap2=closed
        )
        return await self.create("/v1/orders", wire.OrderView, body, idempotency_key)

    def close_mandate(
        self,
        mandate: wire.MandateView,
        checkout: wire.CheckoutView,
        *,
        key: SigningKey | None = None,
    ) -> wire.Ap2Closed:
        """Return the closed mandates for a checkout, signed with this agent's P-256 key."""
        payment = msgspec.convert(
            {
                "vct": "mandate.payment.1",
                "transaction_id": checkout.transaction_id,
                "payee": checkout.payee,
                "payment_amount": checkout.payment_amount,
                "payment_instrument": checkout.payment_instrument,
                "pisp": checkout.pisp,
            },
            ap2.ClosedPayment,
        )
        chain = self._close(mandate.mandate, payment, checkout, key)
        if mandate.open_checkout is None:
            return wire.Ap2Closed(payment=chain, checkout_jwt=checkout.checkout_jwt)
        closed = ap2.close_checkout(checkout.checkout_jwt)
        beside = self._close(mandate.open_checkout, closed, checkout, key)
        return wire.Ap2Closed(payment=chain, checkout=beside)

    async def ap2_receipts(self, order_id: str) -> tuple[ap2.CheckoutReceipt, ap2.PaymentReceipt]:
        """Return AP2's receipts for an order that has ended.

        Raises:
            BadSignature: the market did not sign them.
        """
        path = f"/v1/orders/{url_part(order_id)}/ap2-receipts"
        found = await self.call("GET", path, wire.Ap2ReceiptsView)
        checkout = await self.read_market(
            found.checkout, typ=ap2.CHECKOUT_RECEIPT, claims=ap2.CheckoutReceipt
        )
        payment = await self.read_market(
            found.payment, typ=ap2.PAYMENT_RECEIPT, claims=ap2.PaymentReceipt
        )
        if not checkout.iss == payment.iss == await self.issuer():
            raise BadSignature("the receipts are another market's")
        return checkout, payment

    def _open(self, mandate: ap2.OpenCheckout | ap2.OpenPayment, key: SigningKey | None) -> str:
        return ap2.sign_open(mandate, key=key or self.key, issuer=self.agent_id)

    def _close(
        self,
        open_mandate: str,
        mandate: ap2.ClosedCheckout | ap2.ClosedPayment,
        checkout: wire.CheckoutView,
        key: SigningKey | None,
    ) -> str:
        return ap2.close(
            open_mandate,
            mandate,
            key=key or self.key,
            aud=checkout.aud,
            nonce=checkout.nonce,
            iat=self.moment(),
        )
