"""How metrics are found: about the whole run, about agents, devices and runs named in the file."""

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final, NamedTuple, TypeVar

from market.protocol.events import Event
from market.protocol.money import EXPONENTS
from scenarios.engine.expressions import Signature, Value
from scenarios.engine.facts import Facts, JourneyFacts, OrderFacts, Standing, WatcherFacts
from scenarios.engine.sidefacts import RunFacts

Named = TypeVar("Named")

_SHORT: Final = 8

NOBODY_CAME: Final = "did the run end too soon? See arrive, and the limit or until"
"""The hint where a journey has not begun."""


class Untested(ValueError):
    """The expectation asks about nothing that happened, so its answer would mean nothing.

    ``hint`` says what happened in its place, or "".
    """

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.hint = hint


class Metric(NamedTuple):
    """A named number or text: what it means, how it is asked for, and how it is found."""

    meaning: str
    signature: Signature
    find: Callable[[Facts, str], Value]


# Whom it is about


def journeys_of(facts: Facts, agent: str) -> list[JourneyFacts]:
    """Return the journeys of a buyer.

    Raises:
        Untested: none began.
    """
    found = [journey for journey in facts.journeys if fnmatchcase(journey.buyer, agent)]
    if not found:
        raise Untested(f"no journey of {agent!r} began", NOBODY_CAME)
    return found


def orders_of(facts: Facts, agent: str) -> list[OrderFacts]:
    """Return the orders of a buyer, or those that a seller got.

    Raises:
        Untested: there is none.
    """
    sellers = ids_like(facts, agent)
    found = [
        order
        for journey in facts.journeys
        for order in journey.orders
        if fnmatchcase(journey.buyer, agent) or order.seller_id in sellers
    ]
    if not found:
        raise Untested(f"{agent!r} has no order", _ended_without(facts, agent))
    return found


def _ended_without(facts: Facts, agent: str) -> str:
    """Return how most journeys of a buyer without an order ended; of a seller, that none bought."""
    ends = Counter(
        (one.stages[-1].stage, one.stages[-1].outcome, one.stages[-1].reason)
        for one in facts.journeys
        if fnmatchcase(one.buyer, agent)
    )
    if not ends:
        return "nobody ordered from it" if facts.journeys else NOBODY_CAME
    [((stage, outcome, reason), _)] = ends.most_common(1)
    return f"it left at {stage}: {reason}" if outcome == "left" else f"it was at {stage} at the end"


def runs_like(facts: Facts, name: str) -> list[RunFacts]:
    """Return the runs of a name.

    Raises:
        Untested: none began.
    """
    found = [
        run for journey in facts.journeys for run in journey.runs if fnmatchcase(run.run, name)
    ]
    if not found:
        raise Untested(f"the run {name!r} has not begun")
    return found


def watchers_like(facts: Facts, name: str) -> list[WatcherFacts]:
    """Return the devices of a name.

    Raises:
        Untested: none joined.
    """
    found = [watcher for watcher in facts.watchers if fnmatchcase(watcher.name, name)]
    if not found:
        raise Untested(f"{name!r} has not joined")
    return found


def standings_of(facts: Facts, seller: str) -> list[Standing]:
    """Return what had become of the sellers of a name.

    Raises:
        Untested: there is none.
    """
    ids = ids_like(facts, seller)
    found = [standing for agent_id, standing in facts.sellers.items() if agent_id in ids]
    if not found:
        raise Untested(f"{seller!r} is no seller")
    return found


def ids_like(facts: Facts, pattern: str) -> set[str]:
    """Return the ids of the agents whose names fit."""
    return {agent_id for agent_id, name in facts.names.items() if fnmatchcase(name, pattern)}


def name_of(facts: Facts, agent_id: str) -> str:
    """Return an agent's name, or the start of its id: a policy may let in sub-agents of its own."""
    return facts.names.get(agent_id, agent_id[:_SHORT])


def events_of(facts: Facts, kind: str) -> Iterator[Event]:
    """Yield the events of a kind in all logs."""
    for journey in facts.journeys:
        yield from (event for event in journey.events if event.kind == kind)


def money(facts: Facts, amount_minor: int) -> Decimal:
    """Return an amount as a decimal of the market's currency."""
    return Decimal(amount_minor).scaleb(-EXPONENTS[facts.currency])


# How it is asked for


def whole(meaning: str, find: Callable[[Facts], int | Decimal]) -> Metric:
    """Return a number about the whole run."""
    return Metric(meaning, Signature("number"), lambda facts, _: Decimal(find(facts)))


def counted(meaning: str, kind: str) -> Metric:
    """Return how many events of a kind there are."""
    return whole(meaning, lambda facts: sum(1 for _ in events_of(facts, kind)))


def in_state(meaning: str, state: str) -> Metric:
    """Return how many orders are in a state."""
    return whole(meaning, lambda facts: sum(order.state == state for order in facts.orders))


def ended(meaning: str, outcome: str) -> Metric:
    """Return how many journeys ended so."""
    return whole(meaning, lambda facts: sum(one.outcome == outcome for one in facts.journeys))


def reviewed(meaning: str, verdict: str) -> Metric:
    """Return how many reviews have a verdict."""
    return whole(
        meaning,
        lambda facts: sum(
            event.body["verdict"] == verdict for event in events_of(facts, "review.posted")
        ),
    )


def total(meaning: str, part: Callable[[OrderFacts], int]) -> Metric:
    """Return an amount summed over all orders."""
    return whole(meaning, lambda facts: money(facts, sum(map(part, facts.orders))))


def amount(meaning: str, part: Callable[[OrderFacts], int]) -> Metric:
    """Return an amount summed over the orders of an agent."""
    return Metric(
        meaning,
        Signature("number", "agent"),
        lambda facts, agent: money(facts, sum(map(part, orders_of(facts, agent)))),
    )


def number(meaning: str, part: Callable[[OrderFacts], int]) -> Metric:
    """Return a count summed over the orders of an agent."""
    return _sum(meaning, "agent", orders_of, part)


def text(meaning: str, find: Callable[[Facts, JourneyFacts], str]) -> Metric:
    """Return a text about the journey of a buyer."""
    return _one_text(meaning, "agent", journeys_of, find)


def watched(meaning: str, part: Callable[[WatcherFacts], int]) -> Metric:
    """Return a count summed over devices."""
    return _sum(meaning, "watcher", watchers_like, part)


def of_run(meaning: str, part: Callable[[RunFacts], int]) -> Metric:
    """Return a count summed over runs."""
    return _sum(meaning, "run", runs_like, part)


def of_sellers(meaning: str, part: Callable[[Standing], int]) -> Metric:
    """Return a count summed over sellers as they stood at the end."""
    return _sum(meaning, "seller", standings_of, part)


def money_of_sellers(meaning: str, part: Callable[[Standing], int]) -> Metric:
    """Return an amount summed over sellers as they stood at the end."""

    def of(facts: Facts, seller: str) -> Decimal:
        return money(facts, sum(map(part, standings_of(facts, seller))))

    return Metric(meaning, Signature("number", "seller"), of)


def text_of_run(meaning: str, find: Callable[[Facts, RunFacts], str]) -> Metric:
    """Return a text about a run."""
    return _one_text(meaning, "run", runs_like, find)


def _sum(
    meaning: str,
    subject: str,
    named: Callable[[Facts, str], list[Named]],
    part: Callable[[Named], int],
) -> Metric:
    return Metric(
        meaning,
        Signature("number", subject),
        lambda facts, name: Decimal(sum(map(part, named(facts, name)))),
    )


def _one_text(
    meaning: str,
    subject: str,
    named: Callable[[Facts, str], list[Named]],
    find: Callable[[Facts, Named], str],
) -> Metric:
    def of(facts: Facts, name: str) -> str:
        texts = {find(facts, one) for one in named(facts, name)}
        if len(texts) > 1:
            raise Untested(f"it differs among {name!r}: ask about one of them")
        return texts.pop()

    return Metric(meaning, Signature("text", subject), of)
