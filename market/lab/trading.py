"""One order, from the quote to the review, in the market's own verbs."""

from random import Random
from typing import Any, Final, Literal, NamedTuple

from market import catalog, orders, reviews
from market.base.work import UnitOfWork
from market.lab.people import Buyer, Seller
from market.protocol.commitments import DeliveryClaims, OrderClaims, ReviewClaims, Verdict
from market.protocol.delivery import chain
from market.protocol.wire import AskQuote, AskSupport, Chunk, OrderView, PlaceOrder

SEEN: Final = 0.6
"""The part of failures that the ledger sees by itself."""

REVIEWED: Final = 0.5
"""The part of settled orders that their buyers review."""

WRONG: Final = 0.03
"""The part of honest reviews that say the opposite of what happened."""

Fate = Literal["good", "poor", "late", "given_up", "refunded"]
"""How a delivery goes: well; badly, and nobody but the buyer sees it; or so that the ledger sees
it: nothing comes in time, the seller gives up halfway, or what came is refunded by policy."""

_SEEN_FATES: Final[tuple[Fate, ...]] = ("late", "given_up", "refunded")
_ANSWERS: Final[dict[Fate, dict[str, Any]]] = {
    "good": {"answer": "right"},
    "poor": {"answer": "wrong"},
    "given_up": {"answer": "half"},
    "refunded": {"answer": "broken"},
}
_DIGESTS: Final = {fate: chain("", answer) for fate, answer in _ANSWERS.items()}
_QUESTION: Final[dict[str, Any]] = {"question": "Which?"}


class Deal(NamedTuple):
    """An order that is going to be placed, and how it will go."""

    buyer: Buyer
    seller: Seller
    fate: Fate
    verdict: Verdict | None


class Outcome(NamedTuple):
    """What became of a deal.

    ``is_settled``: the seller was paid and kept it; otherwise the ledger saw the failure, and
    everything went back. ``verdict`` is the buyer's review, if it wrote one.
    """

    deal: Deal
    order_id: str
    amount_minor: int
    is_settled: bool

    @property
    def verdict(self) -> Verdict | None:
        """What the buyer said of it."""
        return self.deal.verdict if self.is_settled else None

    @property
    def rating(self) -> int | None:
        """What there is to be known of the order: 0 bad, 1 good, None if nobody said."""
        if not self.is_settled:
            return 0
        return None if self.verdict is None else int(self.verdict == "good")


def honest_deal(buyer: Buyer, seller: Seller, chance: Random) -> Deal:
    """Return an order of a buyer that says what it thinks, at a seller as good as it is."""
    fate = fate_of(seller, chance)
    verdict: Verdict | None = None
    if fate in ("good", "poor") and chance.random() < REVIEWED:
        says_good = (fate == "good") != (chance.random() < WRONG)
        verdict = "good" if says_good else "bad"
    return Deal(buyer, seller, fate, verdict)


def fate_of(seller: Seller, chance: Random) -> Fate:
    """Return how the seller's next delivery goes."""
    if chance.random() < seller.quality:
        return "good"
    return chance.choice(_SEEN_FATES) if chance.random() < SEEN else "poor"


def trade(uow: UnitOfWork, *, deal: Deal) -> Outcome:
    """Let a deal take place. One that comes late is not over yet: see ``close_late``.

    Raises:
        MarketError: the market refuses the order; nothing happened.
    """
    order = _place(uow, deal)
    seller, fate = deal.seller.agent, deal.fate
    if fate != "late":
        chunk = Chunk(index=0, units=1, output=_ANSWERS[fate])
        orders.deliver(uow, caller=seller.caller, order_id=order.id, chunk=chunk)
    if fate == "given_up":
        orders.fail(uow, caller=seller.caller, order_id=order.id, reason="given up")
    elif fate != "late":
        _finish(uow, deal, order.id)
    return Outcome(deal, order.id, order.amount_minor, is_settled=fate in ("good", "poor"))


def close_late(uow: UnitOfWork, *, order_id: str) -> None:
    """Let the market end an order whose deadline has passed: everything goes back."""
    happened = orders.expire(uow, order_id=order_id)
    assert happened == "failed", f"{order_id} was late, and is {happened}"


def _place(uow: UnitOfWork, deal: Deal) -> OrderView:
    buyer = deal.buyer.agent
    ask = AskQuote(service_id=deal.seller.service_id, input=_QUESTION)
    quote = catalog.quote(uow, caller=buyer.caller, ask=ask)
    signed = buyer.signs(
        uow,
        OrderClaims,
        quote_id=quote.id,
        quote_digest=quote.digest,
        seller_id=quote.seller_id,
        amount_minor=quote.amount_minor,
        currency=quote.currency,
    )
    request = PlaceOrder(quote_id=quote.id, commitment=signed.token)
    return orders.place(uow, caller=buyer.caller, request=request, signed=signed)


def _finish(uow: UnitOfWork, deal: Deal, order_id: str) -> None:
    """Complete and accept a delivery; then it is reviewed or refunded, or nothing more is said."""
    buyer, seller = deal.buyer.agent, deal.seller.agent
    digest = _DIGESTS[deal.fate]
    done = seller.signs(uow, DeliveryClaims, order_id=order_id, chunks=1, units=1, digest=digest)
    orders.complete(uow, caller=seller.caller, order_id=order_id, signed=done)
    order = orders.accept(uow, caller=buyer.caller, order_id=order_id)
    if deal.fate == "refunded":
        ask = AskSupport(action="refund", reason="not what was promised")
        answered = orders.support(uow, caller=buyer.caller, order_id=order_id, request=ask)
        assert answered.answer != "refused", answered.detail
    elif deal.verdict is not None:
        said = buyer.signs(
            uow,
            ReviewClaims,
            order_id=order_id,
            receipt_id=order.receipt_id,
            verdict=deal.verdict,
            comment="",
            tags=[],
        )
        reviews.post(uow, caller=buyer.caller, signed=said)
