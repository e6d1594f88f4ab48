"""What happened in a run, told from the sessions' logs and the wallets alone.

Everything here is pure: the same logs give the same facts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, NamedTuple

from market.protocol.chain import BrokenChain, verify_chain
from market.protocol.events import STAGES, Event, Stage
from scenarios.engine.form import FaultKind
from scenarios.engine.sidefacts import RunFacts, runs_of

StageOutcome = Literal["passed", "left", "open"]
JourneyOutcome = Literal["bought", "cancelled", "failed", "left", "open"]

_ENDINGS: Final = {
    "order.settled": "settled",
    "order.cancelled": "cancelled",
    "order.failed": "failed",
}


@dataclass(kw_only=True)
class OrderFacts:
    """One order as its log tells it. Money is in minor units."""

    order_id: str
    seller_id: str
    slug: str
    held_minor: int
    units: int
    state: str = "open"
    captured_minor: int = 0
    fee_minor: int = 0
    returned_minor: int = 0
    refunded_minor: int = 0
    fee_returned_minor: int = 0
    units_delivered: int = 0
    chunk_indexes: list[int] = field(default_factory=list)
    receipt_ids: list[str] = field(default_factory=list)

    @property
    def kept_fee_minor(self) -> int:
        """What the market keeps: of what is refunded it gives its fee back."""
        return self.fee_minor - self.fee_returned_minor


class StageFacts(NamedTuple):
    """How a journey came through one stage; ``reason`` and ``detail`` are of leaving."""

    stage: Stage
    outcome: StageOutcome
    reason: str
    detail: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class JourneyFacts:
    """One session's journey. ``stages`` are those that it reached, in order."""

    buyer: str
    session_id: str
    events: Sequence[Event]
    stages: Sequence[StageFacts]
    orders: Sequence[OrderFacts]
    runs: Sequence[RunFacts] = ()

    @property
    def outcome(self) -> JourneyOutcome:
        """How it ended for the buyer."""
        states = {order.state for order in self.orders}
        last = self.stages[-1]
        if last.outcome == "passed" and "settled" in states:
            return "bought"
        if "cancelled" in states:
            return "cancelled"
        if "failed" in states:
            return "failed"
        return "left" if last.outcome == "left" else "open"

    def count(self, kind: str) -> int:
        """Return how many events of a kind its log holds."""
        return sum(event.kind == kind for event in self.events)


@dataclass(frozen=True, kw_only=True)
class WatcherFacts:
    """What a device got of a journey: ``offsets`` in the order in which they came.

    ``first`` is the offset that it began at: 0, or behind its snapshot. ``differences`` count the
    entries that it got otherwise than the log has them, byte for byte, and a snapshot that is not
    what the log comes to there.
    """

    name: str
    who: str
    buyer: str
    session_id: str
    over: str
    first: int
    offsets: Sequence[int]
    differences: int
    cuts: int
    resumes: int


class Balance(NamedTuple):
    """A wallet at the end, in minor units."""

    available_minor: int
    held_minor: int


class Standing(NamedTuple):
    """What had become of a seller at the end; what its bond held and had lost in minor units.

    ``price_minor`` is the price by which search compares it; it changed ``price_changes`` times.
    """

    trust: float
    flags: Sequence[str]
    bond_minor: int
    forfeited_minor: int
    price_minor: int = 0
    price_changes: int = 0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A whole run.

    ``read`` are the offsets that each buyer got through its own connections, by session; ``cuts``
    and ``resumes`` count how often a live stream broke and went on; ``faults`` how often each kind
    of fault happened to whom; ``findings`` are the invariants found broken.
    """

    currency: str
    names: Mapping[str, str]
    journeys: Sequence[JourneyFacts]
    wallets: Mapping[str, Balance]
    minted_minor: int
    sellers: Mapping[str, Standing] = field(default_factory=dict)
    read: Mapping[str, Sequence[int]] = field(default_factory=dict)
    cuts: int = 0
    resumes: int = 0
    faults: Mapping[tuple[FaultKind, str], int] = field(default_factory=dict)
    watchers: Sequence[WatcherFacts] = ()
    findings: Sequence[str] = ()

    @property
    def orders(self) -> list[OrderFacts]:
        """Every order of every journey."""
        return [order for journey in self.journeys for order in journey.orders]

    @property
    def lost_answers(self) -> int:
        """How many answers were lost to requests that the market carried out."""
        lost: FaultKind = "lost-acknowledgement"
        return sum(times for (kind, _), times in self.faults.items() if kind == lost)


def journey_of(buyer: str, session_id: str, events: Sequence[Event]) -> JourneyFacts:
    """Read one session's log."""
    return JourneyFacts(
        buyer=buyer,
        session_id=session_id,
        events=events,
        stages=_stages(events),
        orders=_orders(events),
        runs=runs_of(events),
    )


def gaps(facts: Facts) -> int:
    """Return how many offsets and chunks are missing: in the logs, and in what was read live."""
    return _count(facts, _missing) + sum(not _chain_holds(one.events) for one in facts.journeys)


def repeats(facts: Facts) -> int:
    """Return how many offsets and chunks stand twice: in the logs, and in what was read live."""
    return _count(facts, _repeated)


def moment(event: Event) -> float:
    """Return when an event was recorded, in seconds since 1970."""
    return datetime.fromisoformat(event.recorded_at).timestamp()


def _count(facts: Facts, count: Callable[[Sequence[int], int], int]) -> int:
    total = 0
    for journey in facts.journeys:
        total += count([event.offset for event in journey.events], 0)
        seen = facts.read.get(journey.session_id, ())
        total += count(seen, min(seen, default=0))
    total += sum(count(watcher.offsets, watcher.first) for watcher in facts.watchers)
    return total + sum(count(order.chunk_indexes, 0) for order in facts.orders)


def _missing(numbers: Sequence[int], first: int) -> int:
    return len(set(range(first, max(numbers, default=first - 1) + 1)) - set(numbers))


def _repeated(numbers: Sequence[int], first: int) -> int:
    return sum(count - 1 for count in Counter(numbers).values())


def _chain_holds(events: Sequence[Event]) -> bool:
    try:
        verify_chain(events)
    except BrokenChain:
        return False
    return True


def _stages(events: Sequence[Event]) -> list[StageFacts]:
    """Return the stages reached: each but the last is passed; a decision ends one."""
    decisions: dict[str, Event] = {}
    for event in events:
        if event.kind == "decision.made":
            decisions[event.body["stage"]] = event
    reached: list[StageFacts] = []
    began_at = moment(events[0])
    for stage in STAGES:
        decision = decisions.get(stage)
        if decision is None:
            end_at = moment(events[-1])
            reached.append(StageFacts(stage, "open", "", "", end_at - began_at))
            break
        end_at = moment(decision)
        body = decision.body
        outcome: StageOutcome = "passed" if body["outcome"] == "advance" else "left"
        reached.append(
            StageFacts(stage, outcome, body.get("reason") or "", body["detail"], end_at - began_at)
        )
        began_at = end_at
        if outcome == "left":
            break
    return reached


def _orders(events: Iterable[Event]) -> list[OrderFacts]:
    orders: dict[str, OrderFacts] = {}
    for event in events:
        if event.kind == "order.placed" and event.order_id:
            orders[event.order_id] = OrderFacts(
                order_id=event.order_id,
                seller_id=event.body["seller_id"],
                slug=event.body["slug"],
                held_minor=event.body["amount_minor"],
                units=event.body["units"],
            )
        elif event.order_id in orders:
            _apply(orders[event.order_id], event)
    return list(orders.values())


def _apply(order: OrderFacts, event: Event) -> None:
    body = event.body
    if event.kind == "delivery.chunk":
        order.chunk_indexes.append(body["index"])
        order.units_delivered += body["units"]
    elif event.kind == "order.refunded":
        order.refunded_minor += body["refunded_minor"]
        # Before refunds came in parts, one gave everything back.
        order.fee_returned_minor += body.get("fee_returned_minor", order.fee_minor)
        order.receipt_ids.append(body["receipt_id"])
    elif event.kind == "order.released":
        order.captured_minor = body["captured_minor"]
        order.fee_minor = body["fee_minor"]
    elif event.kind in _ENDINGS:
        order.state = _ENDINGS[event.kind]
        order.captured_minor = body["captured_minor"]
        order.fee_minor = body["fee_minor"]
        order.returned_minor = body["returned_minor"]
        order.receipt_ids.append(body["receipt_id"])
