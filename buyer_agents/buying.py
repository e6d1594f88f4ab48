"""The last three stages: transact, use, recommend."""

from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Final

from buyer_agents.appraisal import Unfit
from buyer_agents.checking import checkers_at_work
from buyer_agents.choosing import Chosen, Trip, ask_offer
from buyer_agents.connection import Connection
from buyer_agents.deciding import judged_by
from buyer_agents.errors import BadAnswer, Refused
from buyer_agents.experience import remember
from buyer_agents.journey import Left
from buyer_agents.watching import Delivery, OrderWatch, TimedOut
from buyer_agents.weighing import Judgement
from market.protocol.chain import Entry
from market.protocol.commitments import Verdict
from market.protocol.events import Reason
from market.protocol.manifest import compile_schema
from market.protocol.misfits import explain
from market.protocol.signing import BadSignature
from market.protocol.text import one_line
from market.protocol.wire import OrderView, QuoteView, ReceiptView, ServiceView

FollowSession = Callable[[Connection, str, int], AsyncGenerator[Entry, None]]

MAX_COMMENT: Final = 1_000

_SELLERS_FAULT: Final = frozenset({"delivery_failed", "timeout", "quality"})
_PAYMENT_REQUIRED: Final = 402


def reason_of(refused: Refused) -> Reason:
    """Return why a buyer leaves that was refused: its mandate, its wallet, or something else."""
    if "mandate" in refused.code:
        return "mandate"
    return "budget" if refused.status == _PAYMENT_REQUIRED else "other"


def watch_order(
    trip: Trip, order: OrderView, *, after: int, follow: FollowSession, patience_seconds: float
) -> OrderWatch:
    """Return a watch over what the session's log says of an order behind ``after``."""
    session_id = trip.diary.session_id
    return OrderWatch(
        lambda after: follow(trip.market, session_id, after),
        order_id=order.id,
        after=after,
        patience_seconds=patience_seconds,
    )


async def place(trip: Trip, chosen: Chosen, *, mandate_id: str | None) -> OrderView:
    """Commit to the quote; one that expired meanwhile is asked for once more.

    Raises:
        Left: price, budget or mandate do not allow it.
    """
    trip.diary.enter("transacting")
    try:
        try:
            order = await _order(trip, chosen.offer.quote, mandate_id)
        except Refused as refused:
            if refused.code != "quote_expired":
                raise
            fresh = await ask_offer(trip, chosen.offer)
            order = await _order(trip, fresh.quote, mandate_id)
    except Unfit as why:
        raise Left(why.reason, f"{chosen.offer.slug}: {why}.", [chosen.ranked]) from why
    except Refused as refused:
        raise Left(reason_of(refused), str(refused), [chosen.ranked]) from refused
    trip.diary.order_id = order.id
    return order


async def await_approval(trip: Trip, chosen: Chosen, order: OrderView, watch: OrderWatch) -> None:
    """Where the mandate wants a human to approve, wait for the decision in the log.

    Raises:
        Left: it was denied, or nobody decided in time.
    """
    if order.state == "awaiting_approval":
        await watch.approval()
    await trip.diary.advance(f"{chosen.offer.slug} has the order.", [chosen.ranked])


async def use(trip: Trip, chosen: Chosen, order: OrderView, watch: OrderWatch) -> Judgement:
    """Take the delivery as it comes, judge it, and pay; send back what is bad if that is allowed.

    Raises:
        Left: there was no delivery, or it is not good enough.
    """
    trip.diary.enter("using")
    try:
        async with checkers_at_work(trip, order) as checks:
            delivery = await _receive(trip, order, watch)
        judgement = await _judge(trip, chosen.offer.service, delivery)
        if judgement.verdict == "good" and checks.complaints:
            judgement = Judgement("bad", checks.complaints[0])
        settled = await trip.market.accept(order.id)
        receipt = await _receipt(trip, settled, delivery)
        if judgement.verdict == "bad":
            await _complain(trip, order, receipt, judgement)
    except Left as left:
        if left.reason in _SELLERS_FAULT:
            await _keep_in_mind(trip, chosen, "bad")
        raise Left(left.reason, left.detail, [chosen.ranked]) from left
    await trip.diary.advance(
        f"{len(delivery.outputs)} chunks. {judgement.comment}", [chosen.ranked]
    )
    return judgement


async def recommend(trip: Trip, chosen: Chosen, order: OrderView, judgement: Judgement) -> None:
    """Say to the market, to friends and to oneself how it went."""
    trip.diary.enter("recommending")
    receipt = trip.diary.receipt
    assert receipt is not None, "only a settled order comes here"
    await _review(trip, order, receipt, judgement)
    friends = [one for one in trip.need.recommend_to if one != trip.market.agent_id]
    if friends and "recommendation.sent" not in trip.done:
        await trip.market.recommend(
            chosen.offer.service_id, receipt.id, friends, comment=judgement.comment
        )
    await _keep_in_mind(trip, chosen, judgement.verdict)
    said = "Reviewed" if trip.reviews else "Not reviewed"
    await trip.diary.advance(f"{said}; recommended to {len(friends)}.", [chosen.ranked])


async def _order(trip: Trip, quote: QuoteView, mandate_id: str | None) -> OrderView:
    return await trip.market.place_order(
        quote, mandate_id=mandate_id, session_id=trip.diary.session_id
    )


async def _receive(trip: Trip, order: OrderView, watch: OrderWatch) -> Delivery:
    """Collect the delivery; a seller that stays silent too long loses the order."""
    try:
        return await watch.delivery()
    except TimedOut as silence:
        reason = f"The buyer lost patience: {silence}."
    # Refused means too late: the delivery, or another end, stands in the log by now.
    with suppress(Refused):
        await trip.market.control(trip.diary.session_id, "cancel", order_id=order.id, reason=reason)
    try:
        return await watch.delivery()
    except (Left, TimedOut) as end:
        raise Left("timeout", reason) from end


async def _judge(trip: Trip, service: ServiceView, delivery: Delivery) -> Judgement:
    """Return the policy's judgement; a delivery that breaks the seller's own schema is bad."""
    checker = compile_schema(service.manifest["output"], "output")
    for number, output in enumerate(delivery.outputs):
        if not checker.is_valid(output):
            judgement = Judgement("bad", f"Chunk {number}: {explain(checker, output)}")
            break
    else:
        judgement = await judged_by(trip.policy, delivery.outputs, trip.need)
    return judgement._replace(comment=one_line(judgement.comment, MAX_COMMENT))


async def _receipt(trip: Trip, settled: OrderView, delivery: Delivery) -> ReceiptView:
    """Return the market's receipt, which must be signed and name what was delivered."""
    receipt = (await trip.market.receipts(settled.id))[-1]
    try:
        claims = await trip.market.read_receipt(receipt)
    except BadSignature as error:
        raise BadAnswer(f"the receipt {receipt.id}: {error}") from error
    if (claims.order_id, claims.delivery_digest) != (settled.id, delivery.digest):
        raise BadAnswer(f"the receipt {receipt.id} is for another delivery")
    trip.diary.receipt = receipt
    return receipt


async def _complain(
    trip: Trip, order: OrderView, receipt: ReceiptView, judgement: Judgement
) -> None:
    """Review what is bad, ask for the money back, and leave."""
    await _review(trip, order, receipt, judgement)
    if "order.refunded" in trip.done:
        refund = "refunded"
    else:
        support = await trip.market.support(order.id, "refund", judgement.comment)
        refund = "refunded" if support.answer == "done" else f"not refunded: {support.detail}"
    raise Left("quality", f"{judgement.comment} The order was {refund}")


async def _review(trip: Trip, order: OrderView, receipt: ReceiptView, judgement: Judgement) -> None:
    """Post the review of an order, unless the log says that it was posted, or it posts none."""
    if trip.reviews and "review.posted" not in trip.done:
        await trip.market.review(order.id, receipt.id, judgement.verdict, comment=judgement.comment)


async def _keep_in_mind(trip: Trip, chosen: Chosen, verdict: Verdict) -> None:
    await remember(
        trip.market,
        seller_id=chosen.offer.seller_id,
        seller_handle=chosen.offer.found.seller_handle,
        went_well=verdict == "good",
        session_id=trip.diary.session_id,
        offset=trip.diary.last_offset,
    )
