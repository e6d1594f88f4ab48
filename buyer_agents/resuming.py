"""Going on with a journey that was cut short: what its log says was done, and with whom.

A buyer keeps nothing between runs but its key. What it decided stands in the session's log, what
it bought at the market; whoever holds the key reads both, and does the rest.
"""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import msgspec

from buyer_agents.choosing import Chosen, Trip
from buyer_agents.client import MarketClient, every
from buyer_agents.needs import Need, Offer, Ranked
from market.protocol.events import Event, Stage
from market.protocol.manifest import check_manifest
from market.protocol.wire import (
    Alternative,
    Decision,
    FoundView,
    OrderState,
    OrderView,
    ServiceView,
)

OPEN: Final[frozenset[OrderState]] = frozenset(
    {"awaiting_approval", "placed", "started", "delivered"}
)


class Past(NamedTuple):
    """What a journey's log holds: decisions by stage, kinds of events, and an order, if placed."""

    session_id: str
    next_offset: int
    decisions: dict[Stage, Decision]
    kinds: frozenset[str]
    order: OrderView | None
    quote_id: str

    @property
    def farewell(self) -> Decision | None:
        """The decision by which the buyer left the market, if it did."""
        return next((one for one in self.decisions.values() if one.outcome == "leave"), None)

    @property
    def waits_for_others(self) -> bool:
        """Whether the buyer is through with it, and its order has still to end."""
        return self.farewell is not None and self.order is not None and self.order.state in OPEN


async def unfinished(
    market: MarketClient, need: Need, labels: dict[str, str], *, running: frozenset[str]
) -> Past | None:
    """Return the newest open journey of this buyer for the same need, or None.

    Those in ``running`` are being walked; one whose order was for another input is another's; a
    fork is there to be replayed.
    """
    sought = (market.agent_id, need.query, labels)
    sessions = every(lambda cursor: market.sessions(state="open", cursor=cursor))
    async with aclosing(sessions):
        async for session in sessions:
            is_alike = (session.buyer_id, session.need, session.labels) == sought
            is_fork = session.source_session_id is not None
            if not is_alike or is_fork or session.id in running:
                continue
            past = await read_past(market, session.id)
            if _is_for(past, need) and not past.waits_for_others:
                return past
    return None


async def read_past(market: MarketClient, session_id: str) -> Past:
    """Return what the log of a journey says."""
    events = await events_of(market, session_id)
    own = [event for event in events if event.actor_id == market.agent_id]
    placed = [event for event in own if event.kind == "order.placed"]
    order = await market.order(str(placed[-1].order_id)) if placed else None
    return Past(
        session_id=session_id,
        next_offset=len(events),
        decisions=decisions_in(own),
        kinds=frozenset(event.kind for event in events),
        order=order,
        quote_id=placed[-1].body["quote_id"] if placed else "",
    )


async def events_of(market: MarketClient, session_id: str) -> list[Event]:
    """Return the log of a session of one's own, up to its present end."""
    events: list[Event] = []
    while (page := await market.events(session_id, after=len(events) - 1)).items:
        events += [entry for entry in page.items if isinstance(entry, Event)]
    return events


async def take_up(trip: Trip, past: Past, order: OrderView) -> Chosen:
    """Return the offer that the order of a journey was placed on; its diary knows of it again."""
    diary = trip.diary
    diary.enter("transacting")
    diary.service_id, diary.seller_id, diary.order_id = order.service_id, order.seller_id, order.id
    service = await trip.market.service(order.service_id)
    quote = await trip.market.quote(past.quote_id)
    offer = Offer(
        found=listed(service), amount_minor=quote.amount_minor, service=service, quote=quote
    )
    return Chosen(offer, _ranked(offer, past.decisions))


def _is_for(past: Past, need: Need) -> bool:
    return past.order is None or past.order.input == dict(need.input)


def decisions_in(events: Sequence[Event]) -> dict[Stage, Decision]:
    made = [event.body for event in events if event.kind == "decision.made"]
    decisions = [msgspec.convert(body, Decision) for body in made]
    return {decision.stage: decision for decision in decisions}


def _ranked(offer: Offer, decisions: dict[Stage, Decision]) -> Ranked:
    """Return the offer as it was ranked when trust was checked."""
    weighed: list[Alternative] = []
    for decision in decisions.values():
        weighed += [one for one in decision.alternatives if one.service_id == offer.service_id]
    return Ranked(candidate=offer, parts=weighed[-1].parts if weighed else {})


def listed(service: ServiceView) -> FoundView:
    """Return a service as a search would show it, without a score."""
    manifest = check_manifest(service.manifest)
    price = manifest.price
    members: dict[str, Any] = {
        name: getattr(service, name) for name in ("slug", "seller_id", "seller_handle")
    }
    return FoundView(
        **members,
        service_id=service.id,
        summary=manifest.summary,
        tags=manifest.tags,
        price_per=price.per,
        amount_minor=manifest.compared_minor(),
        currency=price.currency,
        unit=manifest.measure.unit if manifest.measure else None,
        p95_ms=manifest.limits.p95_ms,
        refund=manifest.policies.refund,
        trust=0.0,
        score=0.0,
        parts={},
        flags=[],
    )
