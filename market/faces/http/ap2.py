"""AP2 over HTTP: mandates in its wire form, checkouts for quotes, receipts for what they came to.

The market plays the merchant's, the processor's and the credential provider's part: it signs
checkouts and receipts with its P-256 key, for the sellers.
"""

from datetime import datetime
from typing import Final

import msgspec
from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from market import catalog, mandates, orders
from market.base.caller import Caller, Signed
from market.base.clock import seconds_of
from market.base.errors import MarketError
from market.base.once import Once
from market.base.work import Snapshot
from market.faces.http import acts
from market.faces.http.binding import get, post
from market.faces.http.desk import Desk
from market.protocol import ap2
from market.protocol.commitments import OrderClaims
from market.protocol.disclosing import BadChain
from market.protocol.ids import OrderId, QuoteId
from market.protocol.sdjwt import split_chain
from market.protocol.wire import (
    Ap2Closed,
    Ap2ReceiptsView,
    CheckoutView,
    GiveAp2Mandate,
    MandateView,
    OrderView,
    PlaceOrder,
    QuoteView,
    ServiceView,
)

SERVER_ERRORS: Final = 500
"""From this status on a refusal is no answer: the same request may pass when it is repeated."""


class Ap2Controller(Controller):
    path = "/v1"
    tags = ("mandates",)

    @post("/mandates/ap2", refuses=(403, 409), location="/v1/mandates/{id}", scopes=("pay",))
    async def give_open_mandates(
        self,
        request: JSONBody[GiveAp2Mandate],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> MandateView:
        """Let a buyer spend, within the constraints of open AP2 mandates.

        Their constraints become limits as far as limits can say them; the rest is asked at each
        order. A constraint that is not known is refused.
        """
        opened = mandates.open_ap2(caller, request, now=desk.clock.now())
        return await desk.store.write_once(once, acts.give_ap2, caller=caller, opened=opened)

    @post("/quotes/{quote_id:str}/checkout", status=200, refuses=(404, 410), scopes=("order",))
    async def sign_checkout(
        self,
        quote_id: FromPath[QuoteId],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> CheckoutView:
        """Get a quote of the caller's as a checkout that AP2 mandates can be closed over.

        Each answer is signed anew; any of them will do, until the quote expires.
        """
        caller.need("order")
        quote, service = await desk.store.read(_quoted, caller=caller, quote_id=quote_id)
        return _checkout_view(desk, quote, service)

    @get("/orders/{order_id:str}/ap2-receipts", refuses=(404, 409), scopes=("read",))
    async def read_mandate_receipts(
        self,
        order_id: FromPath[OrderId],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> Ap2ReceiptsView:
        """Get AP2's receipts for an order that has ended; they are signed anew each time.

        They say the same each time. The sums stand in the market's own receipt, whose id is
        ``payment_id``.
        """
        order, references = await desk.store.read(
            acts.closed_order, caller=caller, order_id=order_id
        )
        return _receipts_view(desk, order, references)


async def closed_by(
    desk: Desk, caller: Caller, request: PlaceOrder, claims: OrderClaims
) -> mandates.Closed | None:
    """Return what closes the mandate of an order, its signatures checked; None if nothing does.

    Raises:
        Ap2Refused: it does not hold, or there is no AP2 mandate to close.
    """
    if request.ap2 is None:
        return None
    kept = await desk.store.read(mandates.open_mandate, caller=caller, mandate_id=claims.mandate_id)
    return mandates.read_presented(
        kept,
        request.ap2,
        quote_id=request.quote_id,
        caller=caller,
        market_key=desk.store.merchant_key.public,
        now=desk.clock.now(),
    )


async def place(
    desk: Desk, once: Once, caller: Caller, request: PlaceOrder, signed: Signed[OrderClaims]
) -> OrderView:
    """Place an order; if it closes a mandate and is refused, the refusal carries AP2's receipts."""
    try:
        closed = await closed_by(desk, caller, request, signed.claims)
        return await desk.store.write_once(
            once, orders.place, caller=caller, request=request, signed=signed, closed=closed
        )
    except MarketError as refusal:
        if request.ap2 is not None and refusal.status < SERVER_ERRORS:
            refusal.facts["ap2_receipts"] = _refusal_receipts(desk, request, request.ap2, refusal)
        raise


def _refusal_receipts(
    desk: Desk, request: PlaceOrder, sent: Ap2Closed, refusal: MarketError
) -> dict[str, str]:
    """Return signed receipts that say why nothing was bought and nothing paid."""
    key = desk.store.merchant_key
    said = {
        "status": "Error",
        "iss": desk.settings.issuer,
        "iat": seconds_of(desk.clock.now()),
        "error": refusal.facts.get("ap2_error", refusal.code),
        "error_description": refusal.detail,
    }
    checkout = {**said, "reference": _leaf(sent.checkout or sent.checkout_jwt or "")}
    payment = {**said, "reference": _leaf(sent.payment), "payment_id": request.quote_id}
    return {
        "checkout": key.sign(checkout, typ=ap2.CHECKOUT_RECEIPT),
        "payment": key.sign(payment, typ=ap2.PAYMENT_RECEIPT),
    }


def _leaf(sent: str) -> str:
    """Return the hash of a chain's last token; of what is no chain, of the whole."""
    try:
        return split_chain(sent)[-1].jwt_hash
    except BadChain:
        return ap2.hash_of(sent)


def _quoted(snapshot: Snapshot, *, caller: Caller, quote_id: str) -> tuple[QuoteView, ServiceView]:
    quote = catalog.read_quote(snapshot, caller=caller, quote_id=quote_id)
    if datetime.fromisoformat(quote.expires_at) <= snapshot.now:
        raise catalog.QuoteExpired(
            "Ask for a new quote.", quote_id=quote_id, expired_at=quote.expires_at
        )
    return quote, catalog.service(snapshot, service_id=quote.service_id)


def _checkout_view(desk: Desk, quote: QuoteView, service: ServiceView) -> CheckoutView:
    issuer, key = desk.settings.issuer, desk.store.merchant_key
    merchant = ap2.Merchant(id=quote.seller_id, name=service.seller_handle)
    totals = [
        ap2.Total(type="subtotal", amount=quote.amount_minor),
        ap2.Total(type="total", amount=quote.amount_minor),
    ]
    # One piece of the service: how many units it comes to stands in the quote.
    item = ap2.Item(id=service.id, title=service.slug, price=quote.amount_minor)
    checkout = ap2.Checkout(
        iss=issuer,
        iat=seconds_of(desk.clock.now()),
        exp=seconds_of(datetime.fromisoformat(quote.expires_at)),
        id=quote.id,
        merchant=merchant,
        line_items=[ap2.LineItem(id="1", item=item, quantity=1, totals=totals)],
        status="ready_for_complete",
        currency=quote.currency,
        totals=totals,
        links=[],
        expires_at=quote.expires_at,
    )
    token = key.sign(checkout, typ=ap2.CHECKOUT)
    return CheckoutView(
        checkout_jwt=token,
        transaction_id=ap2.hash_of(token),
        aud=issuer,
        nonce=quote.id,
        payee=msgspec.to_builtins(merchant),
        payment_amount={"amount": quote.amount_minor, "currency": quote.currency},
        payment_instrument=msgspec.to_builtins(mandates.instrument_of(issuer)),
        pisp=msgspec.to_builtins(mandates.pisp_of(issuer)),
        expires_at=quote.expires_at,
    )


def _receipts_view(
    desk: Desk, order: OrderView, references: mandates.References
) -> Ap2ReceiptsView:
    """Make the receipts. Kept, they would cost every order's end a statement, and say no more."""
    assert order.ended_at is not None, "the order has ended"
    assert order.receipt_id is not None, "what has ended has a receipt"
    issuer, key = desk.settings.issuer, desk.store.merchant_key
    iat = seconds_of(datetime.fromisoformat(order.ended_at))
    failed = {
        "error": f"order_{order.state}",
        "error_description": f"the order is {order.state}; {order.captured_minor} were paid",
    }
    checkout = ap2.CheckoutReceipt(
        status="Success" if order.state == "settled" else "Error",
        iss=issuer,
        iat=iat,
        reference=references.checkout,
        order_id=order.id,
        **({} if order.state == "settled" else failed),
    )
    confirmed = {
        "psp_confirmation_id": order.receipt_id,
        "network_confirmation_id": order.receipt_id,
    }
    payment = ap2.PaymentReceipt(
        status="Success" if order.captured_minor else "Error",
        iss=issuer,
        iat=iat,
        reference=references.payment,
        payment_id=order.receipt_id,
        **(confirmed if order.captured_minor else failed),
    )
    return Ap2ReceiptsView(
        order_id=order.id,
        checkout=key.sign(checkout, typ=ap2.CHECKOUT_RECEIPT),
        payment=key.sign(payment, typ=ap2.PAYMENT_RECEIPT),
    )
