"""The metrics that expectations may name, each with what it means.

Amounts are decimals of the market's currency ("0.40"), as in the scenario file. ``agent`` and
``seller`` are names from the file, as are ``watcher`` and ``run``; ``*`` and ``?`` in one stand for
letters, and the numbers of all that fit are added up.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from market.protocol.events import Event
from market.protocol.money import EXPONENTS
from scenarios.engine.expressions import Expression, Signature, Use, Value
from scenarios.engine.facts import (
    Facts,
    JourneyFacts,
    OrderFacts,
    RunFacts,
    WatcherFacts,
    chunks_in_pause,
    gaps,
    most_present,
    repeats,
    turns,
)


class Untested(ValueError):
    """The expectation asks about nothing that happened, so its answer would mean nothing."""


class Metric(NamedTuple):
    """A named number or text: what it means, how it is asked for, and how it is found."""

    meaning: str
    signature: Signature
    find: Callable[[Facts, str], Value]


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
    return METRICS[use.metric].find(facts, use.argument)


# What is found


def _imbalance(facts: Facts) -> Decimal:
    held = sum(sum(balance) for balance in facts.wallets.values())
    fees = sum(order.kept_fee_minor for order in facts.orders)
    return _money(facts, facts.minted_minor - held - fees)


def _wallet(facts: Facts, agent: str) -> Decimal:
    found = [
        balance.available_minor
        for agent_id, balance in facts.wallets.items()
        if fnmatchcase(facts.names[agent_id], agent)
    ]
    if not found:
        raise Untested(f"{agent!r} has no wallet")
    return _money(facts, sum(found))


def _conversion(facts: Facts, seller: str) -> Decimal:
    sellers = _ids(facts, seller)
    shown = [journey for journey in facts.journeys if sellers & _listed(journey)]
    if not shown:
        raise Untested(f"{seller!r} was shown to nobody")
    sold = sum(
        any(order.state == "settled" and order.seller_id in sellers for order in journey.orders)
        for journey in shown
    )
    return Decimal(sold) / len(shown)


def _paused_chunks(facts: Facts, agent: str) -> Decimal:
    counts = [chunks_in_pause(journey.events) for journey in _journeys(facts, agent)]
    found = [count for count in counts if count is not None]
    if not found:
        raise Untested(f"no order of {agent!r} was paused")
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
        for event in _events(facts, "recommendation.sent")
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


# Whom it is about


def _journeys(facts: Facts, agent: str) -> list[JourneyFacts]:
    found = [journey for journey in facts.journeys if fnmatchcase(journey.buyer, agent)]
    if not found:
        raise Untested(f"no journey of {agent!r} began")
    return found


def _orders(facts: Facts, agent: str) -> list[OrderFacts]:
    """Return the orders of a buyer, or those that a seller got."""
    sellers = _ids(facts, agent)
    found = [
        order
        for journey in facts.journeys
        for order in journey.orders
        if fnmatchcase(journey.buyer, agent) or order.seller_id in sellers
    ]
    if not found:
        raise Untested(f"{agent!r} has no order")
    return found


def _runs(facts: Facts, name: str) -> list[RunFacts]:
    found = [
        run for journey in facts.journeys for run in journey.runs if fnmatchcase(run.run, name)
    ]
    if not found:
        raise Untested(f"the run {name!r} has not begun")
    return found


def _watchers(facts: Facts, name: str) -> list[WatcherFacts]:
    found = [watcher for watcher in facts.watchers if fnmatchcase(watcher.name, name)]
    if not found:
        raise Untested(f"{name!r} has not joined")
    return found


def _ids(facts: Facts, pattern: str) -> set[str]:
    return {agent_id for agent_id, name in facts.names.items() if fnmatchcase(name, pattern)}


def _events(facts: Facts, kind: str) -> Iterator[Event]:
    for journey in facts.journeys:
        yield from (event for event in journey.events if event.kind == kind)


def _money(facts: Facts, amount_minor: int) -> Decimal:
    return Decimal(amount_minor).scaleb(-EXPONENTS[facts.currency])


# How it is asked for


def _run(meaning: str, find: Callable[[Facts], int | Decimal]) -> Metric:
    """Return a number about the whole run."""
    return Metric(meaning, Signature("number"), lambda facts, _: Decimal(find(facts)))


def _counted(meaning: str, kind: str) -> Metric:
    """Return how many events of a kind there are."""
    return _run(meaning, lambda facts: sum(1 for _ in _events(facts, kind)))


def _state(meaning: str, state: str) -> Metric:
    """Return how many orders are in a state."""
    return _run(meaning, lambda facts: sum(order.state == state for order in facts.orders))


def _outcome(meaning: str, outcome: str) -> Metric:
    """Return how many journeys ended so."""
    return _run(meaning, lambda facts: sum(one.outcome == outcome for one in facts.journeys))


def _reviews(meaning: str, verdict: str) -> Metric:
    """Return how many reviews have a verdict."""
    return _run(
        meaning,
        lambda facts: sum(
            event.body["verdict"] == verdict for event in _events(facts, "review.posted")
        ),
    )


def _total(meaning: str, part: Callable[[OrderFacts], int]) -> Metric:
    """Return an amount summed over all orders."""
    return _run(meaning, lambda facts: _money(facts, sum(map(part, facts.orders))))


def _amount(meaning: str, part: Callable[[OrderFacts], int]) -> Metric:
    """Return an amount summed over the orders of an agent."""
    return Metric(
        meaning,
        Signature("number", "agent"),
        lambda facts, agent: _money(facts, sum(map(part, _orders(facts, agent)))),
    )


def _number(meaning: str, part: Callable[[OrderFacts], int]) -> Metric:
    """Return a count summed over the orders of an agent."""
    return Metric(
        meaning,
        Signature("number", "agent"),
        lambda facts, agent: Decimal(sum(map(part, _orders(facts, agent)))),
    )


def _text(meaning: str, find: Callable[[Facts, JourneyFacts], str]) -> Metric:
    """Return a text about the journey of a buyer."""

    def of(facts: Facts, agent: str) -> str:
        texts = {find(facts, journey) for journey in _journeys(facts, agent)}
        if len(texts) > 1:
            raise Untested(f"it differs among {agent!r}: ask about one of them")
        return texts.pop()

    return Metric(meaning, Signature("text", "agent"), of)


def _watched(meaning: str, part: Callable[[WatcherFacts], int]) -> Metric:
    """Return a count summed over devices."""
    return Metric(
        meaning,
        Signature("number", "watcher"),
        lambda facts, name: Decimal(sum(map(part, _watchers(facts, name)))),
    )


def _of_run(meaning: str, part: Callable[[RunFacts], int]) -> Metric:
    """Return a count summed over runs."""
    return Metric(
        meaning,
        Signature("number", "run"),
        lambda facts, name: Decimal(sum(map(part, _runs(facts, name)))),
    )


def _text_of_run(meaning: str, find: Callable[[Facts, RunFacts], str]) -> Metric:
    """Return a text about a run."""

    def of(facts: Facts, name: str) -> str:
        texts = {find(facts, run) for run in _runs(facts, name)}
        if len(texts) > 1:
            raise Untested(f"it differs among {name!r}: ask about one of them")
        return texts.pop()

    return Metric(meaning, Signature("text", "run"), of)


METRICS: Final[dict[str, Metric]] = {
    "ledger.imbalance": _run(
        "what was minted, less what all wallets hold and the fees on the receipts", _imbalance
    ),
    "ledger.findings": _run(
        "invariants of ledger, log and orders found broken", lambda facts: len(facts.findings)
    ),
    "sessions.count": _run("journeys begun", lambda facts: len(facts.journeys)),
    "sessions.events": _run(
        "events in all logs", lambda facts: sum(len(one.events) for one in facts.journeys)
    ),
    "sessions.gaps": _run("offsets or chunks missing in a log or in what was read live", gaps),
    "sessions.repeats": _run("offsets or chunks twice in a log or in what was read live", repeats),
    "sessions.most_present": _run(
        "devices that were present in one session at one time",
        lambda facts: max((most_present(one.events) for one in facts.journeys), default=0),
    ),
    "streams.cuts": _run(
        "live streams of buyers and watchers that broke", lambda facts: facts.cuts
    ),
    "streams.resumes": _run(
        "live streams that went on behind the last offset seen", lambda facts: facts.resumes
    ),
    "acknowledgements.lost": _run(
        "answers that were lost after the market had done what was asked",
        lambda facts: facts.lost_answers,
    ),
    "watchers.count": _run("devices that watched a journey", lambda facts: len(facts.watchers)),
    "runs.count": _run(
        "runs that sub-agents began", lambda facts: sum(len(one.runs) for one in facts.journeys)
    ),
    "runs.turns": _run(
        "times that a step of one run follows a step of another in one session",
        lambda facts: sum(turns(one.events) for one in facts.journeys),
    ),
    "buyers.bought": _outcome("journeys that passed all stages with a settled order", "bought"),
    "buyers.cancelled": _outcome("journeys that ended with their order cancelled", "cancelled"),
    "buyers.failed": _outcome("journeys that ended with their order failed", "failed"),
    "buyers.left": _outcome("journeys that the buyer left without an order", "left"),
    "buyers.open": _outcome("journeys that were not over at the end", "open"),
    "orders.placed": _run("orders placed", lambda facts: len(facts.orders)),
    "orders.settled": _state("orders delivered, accepted and paid", "settled"),
    "orders.cancelled": _state("orders cancelled, and paid pro rata", "cancelled"),
    "orders.failed": _state("orders that the seller or the time ended", "failed"),
    "orders.open": _state("orders that have not ended", "open"),
    "orders.refunded": _counted("orders refunded after settlement", "order.refunded"),
    "money.minted": _run(
        "money that came into the market", lambda facts: _money(facts, facts.minted_minor)
    ),
    "money.captured": _total("what sellers earned, before fees", lambda one: one.captured_minor),
    "money.fees": _total("what the market took and kept", lambda one: one.kept_fee_minor),
    "money.returned": _total("what went back to buyers", lambda one: one.returned_minor),
    "approvals.requested": _counted("orders that waited for a human", "approval.requested"),
    "approvals.granted": _counted("orders that a human approved", "approval.granted"),
    "approvals.denied": _counted("orders that a human denied", "approval.denied"),
    "controls.requested": _counted("interventions in live sessions", "control.requested"),
    "controls.answered": _counted("answers to them", "control.answered"),
    "reviews.good": _reviews("good reviews", "good"),
    "reviews.bad": _reviews("bad reviews", "bad"),
    "recommendations.sent": _counted("recommendations sent", "recommendation.sent"),
    "recommendations.followed": _run(
        "recommendations whose receiver bought from the service", _followed
    ),
    "conversion": Metric(
        "share of the journeys that were shown a seller and settled an order with it",
        Signature("number", "seller"),
        _conversion,
    ),
    "wallet": Metric("what an agent can spend at the end", Signature("number", "agent"), _wallet),
    "held": _amount("what the orders of a buyer or seller cost", lambda one: one.held_minor),
    "captured": _amount("what was paid for them", lambda one: one.captured_minor),
    "fee": _amount("what of that the market took", lambda one: one.kept_fee_minor),
    "returned": _amount("what of the price went back", lambda one: one.returned_minor),
    "units": _number("units of work ordered", lambda one: one.units),
    "units_delivered": _number("units of work delivered", lambda one: one.units_delivered),
    "chunks": _number("chunks delivered", lambda one: len(one.chunk_indexes)),
    "paused_chunks": Metric(
        "chunks that were delivered to a buyer's orders while these were paused",
        Signature("number", "agent"),
        _paused_chunks,
    ),
    "watched": _watched("entries that a device got live", lambda one: len(one.offsets)),
    "watched_from": _watched("the offset of the first of them", lambda one: one.first),
    "differences": _watched(
        "entries that a device got otherwise than the log has them, byte for byte",
        lambda one: one.differences,
    ),
    "steps": _of_run("steps of a run, the last attempt of each", lambda one: len(one.attempts)),
    "attempts": _of_run("attempts at its steps", lambda one: sum(one.attempts.values())),
    "run_outcome": _text_of_run(
        "how a run ended: done, failed, cancelled, or '' if it has not", lambda _, one: one.outcome
    ),
    "written_by": _text_of_run(
        "who wrote a run into the log",
        lambda facts, one: ", ".join(sorted(facts.names[actor] for actor in one.actor_ids)),
    ),
    "outcome": _text(
        "how a journey ended: bought, cancelled, failed, left or open",
        lambda _, journey: journey.outcome,
    ),
    "stage": _text("the last stage that a journey reached", lambda _, one: one.stages[-1].stage),
    "reason": _text("why the buyer left, or ''", lambda _, one: one.stages[-1].reason),
    "seller": _text("the seller that got the last order, or ''", _bought_from),
}
"""Every metric by name."""

SIGNATURES: Final = {name: metric.signature for name, metric in METRICS.items()}
"""How each metric is asked for."""
