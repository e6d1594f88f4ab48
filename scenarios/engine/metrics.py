"""The metrics that expectations may name, each with what it means.

Amounts are decimals of the market's currency ("0.40"), as in the scenario file. ``agent`` and
``seller`` are names from the file, as are ``watcher`` and ``run``; ``*`` and ``?`` in one stand for
letters, and the numbers of all that fit are added up.
"""

from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final, get_args

from market.protocol.events import REASONS, STAGES
from scenarios.engine.asking import (
    NOBODY_CAME,
    Metric,
    Untested,
    amount,
    counted,
    ended,
    events_of,
    ids_like,
    in_state,
    journeys_of,
    money,
    money_of_sellers,
    name_of,
    number,
    of_run,
    of_sellers,
    reviewed,
    standings_of,
    text,
    text_of_run,
    total,
    watched,
    whole,
)
from scenarios.engine.expressions import Expression, Signature, Use, Value
from scenarios.engine.facts import Facts, JourneyFacts, JourneyOutcome, gaps, repeats
from scenarios.engine.sidefacts import chunks_in_pause, most_present, turns


def read(source: str) -> Expression:
    """Return an expectation's expression.

    Raises:
        BadExpression: it is none, or names no metric that there is.
    """
    return Expression(source, SIGNATURES)


def measure(facts: Facts, use: Use) -> Value:
    """Return the value of a metric as an expression asks for it.

    Raises:
        Untested: nobody it asks about was there.
    """
    if not (facts.journeys or use.argument or use.metric in _WITHOUT_JOURNEYS):
        raise Untested("no journey began", NOBODY_CAME)
    return METRICS[use.metric].find(facts, use.argument)


_WITHOUT_JOURNEYS: Final = frozenset(
    {"ledger.imbalance", "ledger.findings", "money.minted", "sessions.count"}
)
"""What of a whole run says something though nobody came."""


# What is found


def _imbalance(facts: Facts) -> Decimal:
    held = sum(sum(balance) for balance in facts.wallets.values())
    fees = sum(order.kept_fee_minor for order in facts.orders)
    bonds = sum(one.bond_minor + one.forfeited_minor for one in facts.sellers.values())
    return money(facts, facts.minted_minor - held - fees - bonds)


def _wallet(facts: Facts, agent: str) -> Decimal:
    found = [
        balance.available_minor
        for agent_id, balance in facts.wallets.items()
        if fnmatchcase(facts.names[agent_id], agent)
    ]
    if not found:
        raise Untested(f"{agent!r} has no wallet")
    return money(facts, sum(found))


def _conversion(facts: Facts, seller: str) -> Decimal:
    sellers = ids_like(facts, seller)
    shown = [journey for journey in facts.journeys if sellers & _listed(journey)]
    if not shown:
        raise Untested(
            f"{seller!r} was shown to nobody", "does it sell what the buyers search for?"
        )
    sold = sum(
        any(order.state == "settled" and order.seller_id in sellers for order in journey.orders)
        for journey in shown
    )
    return Decimal(sold) / len(shown)


def _trust(facts: Facts, seller: str) -> Decimal:
    return min(Decimal(str(one.trust)) for one in standings_of(facts, seller))


def _paused_chunks(facts: Facts, agent: str) -> Decimal:
    counts = [chunks_in_pause(journey.events) for journey in journeys_of(facts, agent)]
    found = [count for count in counts if count is not None]
    if not found:
        raise Untested(f"no order of {agent!r} was paused", 'an [[overseer]] may do = "pause"')
    return Decimal(sum(found))


def _followed(facts: Facts) -> int:
    bought = {
        (journey.buyer, order.slug)
        for journey in facts.journeys
        for order in journey.orders
        if order.state == "settled"
    }
    return sum(
        (facts.names[recipient_id], event.body["slug"]) in bought
        for event in events_of(facts, "recommendation.sent")
        for recipient_id in event.body["recipient_ids"]
    )


def _bought_from(facts: Facts, journey: JourneyFacts) -> str:
    return facts.names[journey.orders[-1].seller_id] if journey.orders else ""


def _listed(journey: JourneyFacts) -> set[str]:
    return {
        service["seller_id"]
        for event in journey.events
        if event.kind == "finding.listed"
        for service in event.body["services"]
    }


METRICS: Final[dict[str, Metric]] = {
    "ledger.imbalance": whole(
        "what was minted, less what wallets and bonds hold, the fees on the receipts and forfeits",
        _imbalance,
    ),
    "ledger.findings": whole(
        "invariants of ledger, log and orders found broken", lambda facts: len(facts.findings)
    ),
    "sessions.count": whole("journeys begun", lambda facts: len(facts.journeys)),
    "sessions.events": whole(
        "events in all logs", lambda facts: sum(len(one.events) for one in facts.journeys)
    ),
    "sessions.gaps": whole("offsets or chunks missing in a log or in what was read live", gaps),
    "sessions.repeats": whole("offsets or chunks twice in a log or in what was read live", repeats),
    "sessions.most_present": whole(
        "devices that were present in one session at one time",
        lambda facts: max((most_present(one.events) for one in facts.journeys), default=0),
    ),
    "streams.cuts": whole(
        "live streams of buyers and watchers that broke", lambda facts: facts.cuts
    ),
    "streams.resumes": whole(
        "live streams that went on behind the last offset seen", lambda facts: facts.resumes
    ),
    "acknowledgements.lost": whole(
        "answers that were lost after the market had done what was asked",
        lambda facts: facts.lost_answers,
    ),
    "watchers.count": whole("devices that watched a journey", lambda facts: len(facts.watchers)),
    "runs.count": whole(
        "runs that sub-agents began", lambda facts: sum(len(one.runs) for one in facts.journeys)
    ),
    "runs.turns": whole(
        "times that a step of one run follows a step of another in one session",
        lambda facts: sum(turns(one.events) for one in facts.journeys),
    ),
    "buyers.bought": ended("journeys that passed all stages with a settled order", "bought"),
    "buyers.cancelled": ended("journeys that ended with their order cancelled", "cancelled"),
    "buyers.failed": ended("journeys that ended with their order failed", "failed"),
    "buyers.left": ended("journeys that the buyer left without an order", "left"),
    "buyers.open": ended("journeys that were not over at the end", "open"),
    "orders.placed": whole("orders placed", lambda facts: len(facts.orders)),
    "orders.settled": in_state("orders delivered, accepted and paid", "settled"),
    "orders.cancelled": in_state("orders cancelled, and paid pro rata", "cancelled"),
    "orders.failed": in_state("orders that the seller or the time ended", "failed"),
    "orders.open": in_state("orders that have not ended", "open"),
    "orders.refunded": counted("orders refunded after settlement", "order.refunded"),
    "money.minted": whole(
        "money that came into the market", lambda facts: money(facts, facts.minted_minor)
    ),
    "money.captured": total("what sellers earned, before fees", lambda one: one.captured_minor),
    "money.fees": total("what the market took and kept", lambda one: one.kept_fee_minor),
    "money.returned": total("what went back to buyers", lambda one: one.returned_minor),
    "counters.named": counted("lower prices that buyers named", "quote.countered"),
    "counters.answered": counted("prices that sellers signed in answer", "quote.answered"),
    "approvals.requested": counted("orders that waited for a human", "approval.requested"),
    "approvals.granted": counted("orders that a human approved", "approval.granted"),
    "approvals.denied": counted("orders that a human denied", "approval.denied"),
    "controls.requested": counted("interventions in live sessions", "control.requested"),
    "controls.answered": counted("answers to them", "control.answered"),
    "reviews.good": reviewed("good reviews", "good"),
    "reviews.bad": reviewed("bad reviews", "bad"),
    "recommendations.sent": counted("recommendations sent", "recommendation.sent"),
    "recommendations.followed": whole(
        "recommendations whose receiver bought from the service", _followed
    ),
    "conversion": Metric(
        "share of the journeys that were shown a seller and settled an order with it",
        Signature("number", "seller"),
        _conversion,
    ),
    "trust": Metric("the lowest score at the end", Signature("number", "seller"), _trust),
    "frozen": of_sellers("sellers that were frozen at the end", lambda one: "frozen" in one.flags),
    "bond": money_of_sellers("what a bond held at the end", lambda one: one.bond_minor),
    "forfeited": money_of_sellers("what a bond lost", lambda one: one.forfeited_minor),
    "price": money_of_sellers(
        "what a seller asks at the end: of a call or a unit", lambda one: one.price_minor
    ),
    "price_changes": of_sellers(
        "how often a seller changed its price", lambda one: one.price_changes
    ),
    "wallet": Metric("what an agent can spend at the end", Signature("number", "agent"), _wallet),
    "held": amount("what the orders of a buyer or seller cost", lambda one: one.held_minor),
    "captured": amount("what was paid for them", lambda one: one.captured_minor),
    "fee": amount("what of that the market took", lambda one: one.kept_fee_minor),
    "returned": amount("what of the price went back", lambda one: one.returned_minor),
    "units": number("units of work ordered", lambda one: one.units),
    "units_delivered": number("units of work delivered", lambda one: one.units_delivered),
    "chunks": number("chunks delivered", lambda one: len(one.chunk_indexes)),
    "paused_chunks": Metric(
        "chunks that were delivered to a buyer's orders while these were paused",
        Signature("number", "agent"),
        _paused_chunks,
    ),
    "watched": watched("entries that a device got live", lambda one: len(one.offsets)),
    "watched_from": watched("the offset of the first of them", lambda one: one.first),
    "differences": watched(
        "entries that a device got otherwise than the log has them, byte for byte",
        lambda one: one.differences,
    ),
    "steps": of_run("steps of a run, the last attempt of each", lambda one: len(one.attempts)),
    "attempts": of_run("attempts at its steps", lambda one: sum(one.attempts.values())),
    "run_outcome": text_of_run(
        "how a run ended: done, failed, cancelled, or '' if it has not", lambda _, one: one.outcome
    ),
    "written_by": text_of_run(
        "who wrote a run into the log",
        lambda facts, one: ", ".join(sorted(name_of(facts, actor) for actor in one.actor_ids)),
    ),
    "outcome": text(
        "how a journey ended: bought, cancelled, failed, left or open",
        lambda _, journey: journey.outcome,
    ),
    "stage": text("the last stage that a journey reached", lambda _, one: one.stages[-1].stage),
    "reason": text("why the buyer left, or ''", lambda _, one: one.stages[-1].reason),
    "seller": text("the seller that got the last order, or ''", _bought_from),
}
"""Every metric by name."""

VALUES: Final[dict[str, tuple[str, ...]]] = {
    "run_outcome": ("", "done", "failed", "cancelled"),
    "outcome": get_args(JourneyOutcome),
    "stage": STAGES,
    "reason": ("", *REASONS),
}
"""All that a text can be. The seller of an order is one of the story's, or ""."""

SIGNATURES: Final = {name: metric.signature for name, metric in METRICS.items()}
"""How each metric is asked for."""
