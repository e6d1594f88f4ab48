"""The journeys of a run when it is over: each by itself, or of many a table; and the sellers."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from market.cli.output import marked, say, table
from market.cli.timeline import STAGE_NAMES, ticks
from market.protocol.money import decimal_text
from scenarios.engine.result import JourneyResult, OrderResult, RunResult, SellerResult

MAX_JOURNEYS: Final = 12
"""More journeys than these are told as a table."""

MAX_WRONG: Final = 3
"""So many of those that went wrong are told one by one all the same."""

MAX_SELLERS: Final = 40
"""Of more sellers those are told who were paid most."""

_TIMES: Final = {0: "never", 1: "once", 2: "twice"}
_OUTCOMES: Final = {"bought": "✓", "cancelled": "■", "failed": "✗", "left": "✗", "open": "●"}
_WRONG: Final = ("open", "failed")
_ALL: Final = "--journeys"


def print_journeys(result: RunResult, *, every_one: bool) -> None:
    """Print how the journeys went: of many a row for each table of buyers, and what went wrong."""
    if every_one or len(result.journeys) <= MAX_JOURNEYS:
        say("Journeys")
        for journey in result.journeys:
            _journey(journey, result.currency)
        return
    say(f"{len(result.journeys)} journeys")
    _tables(result)
    wrong = [one for outcome in _WRONG for one in result.journeys if one.outcome == outcome]
    if wrong:
        say()
        shown = wrong[:MAX_WRONG]
        first = f", the first {len(shown)} of them" if len(wrong) > len(shown) else ""
        say(f"{len(wrong)} not through, or failed{first} ({_ALL}: all)")
        for journey in shown:
            _journey(journey, result.currency)


def _tables(result: RunResult) -> None:
    tables = dict.fromkeys(one.table for one in result.journeys)
    rows = [
        _row(name, [one for one in result.journeys if one.table == name], result.currency)
        for name in tables
    ]
    counts = (">Bought", ">Left", ">Failed", ">Cancelled", ">Open")
    spent = f">Spent {result.currency}"
    table(("Buyers", ">Journeys", *counts, spent, "Most left because of"), rows)


def _row(name: str, journeys: Sequence[JourneyResult], currency: str) -> tuple[str, ...]:
    outcomes = Counter(one.outcome for one in journeys)
    reasons = Counter(
        one.stages[-1].reason for one in journeys if one.outcome != "bought" and one.stages
    )
    reasons.pop("", None)
    spent = sum(
        order.captured_minor - order.refunded_minor for one in journeys for order in one.orders
    )
    [(reason, count)] = reasons.most_common(1) or [("", 0)]
    return (
        name,
        str(len(journeys)),
        *(str(outcomes[one]) for one in ("bought", "left", "failed", "cancelled", "open")),
        decimal_text(spent, currency),
        f"{reason} ({count})" if reason else "",
    )


def print_sellers(result: RunResult, *, every_one: bool) -> None:
    """Print what became of the sellers: who earned, and who is trusted."""
    sellers = result.sellers
    is_cut = len(sellers) > MAX_SELLERS and not every_one
    if is_cut:
        by_pay = sorted(sellers, key=lambda one: -one.captured_minor)
        sellers = by_pay[:MAX_SELLERS]
    say("Sellers")
    headings = (
        "Name", ">Orders", ">Sold", ">Failed", ">Refunded", f">Captured {result.currency}",
        ">Wallet", ">Bond", ">Trust", "",
    )  # fmt: skip
    table(headings, [_standing(one, result.currency) for one in sellers])
    if is_cut:
        rest = len(result.sellers) - len(sellers)
        say(f"{rest} more, who were paid no more than the last of these ({_ALL}: all)")


def _standing(one: SellerResult, currency: str) -> tuple[str, ...]:
    amounts = (one.captured_minor, one.wallet_minor, one.bond_minor)
    return (
        one.name,
        *map(str, (one.orders, one.sold, one.failed, one.refunded)),
        *(decimal_text(amount, currency) for amount in amounts),
        one.trust,
        "frozen" if one.is_frozen else "",
    )


def times(count: int) -> str:
    """Return a count in words: never, once, twice, 3 times."""
    return _TIMES.get(count, f"{count} times")


def _journey(journey: JourneyResult, currency: str) -> None:
    last = journey.stages[-1]
    marked(_OUTCOMES[journey.outcome], f"{journey.buyer} {_outcome(journey)}")
    say(f"    {ticks((one.stage, one.outcome, one.seconds) for one in journey.stages)}")
    for order in journey.orders:
        say(f"    {_order(order, currency)}")
    if last.reason:
        say(f"    {last.reason}: {last.detail}")
    cut = ""
    if journey.cut:
        cut = f"; its stream was cut {times(journey.cut)} and went on {times(journey.resumed)}"
    say(f"    {journey.session_id}, {journey.events} events{cut}")


def _outcome(journey: JourneyResult) -> str:
    sellers = ", ".join(order.seller for order in journey.orders)
    match journey.outcome:
        case "bought":
            return f"bought from {sellers}"
        case "left":
            return f"left at {STAGE_NAMES[journey.stages[-1].stage]}"
        case "open":
            return "is not through"
    return f"had its order at {sellers} {journey.outcome}"


def _order(order: OrderResult, currency: str) -> str:
    amounts = (order.held_minor, order.captured_minor, order.fee_minor, order.returned_minor)
    held, paid, fee, returned = (decimal_text(amount, currency) for amount in amounts)
    rest = ""
    if escrow_minor := order.held_minor - order.captured_minor - order.returned_minor:
        rest = f" + {decimal_text(escrow_minor, currency)} in escrow"
    if order.refunded_minor:
        rest = f", {decimal_text(order.refunded_minor, currency)} refunded later"
    return (
        f"{held} {currency} held = {paid} paid (fee {fee}) + {returned} returned{rest};"
        f" {order.units_delivered} of {order.units} units in {order.chunks} chunks"
    )
