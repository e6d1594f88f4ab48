"""Blocks on the journey: the funnel, why buyers left, and to whom sellers lost them."""

from typing import Any, Final

from market import analytics
from market.analytics import Why
from market.protocol.events import STAGES
from market.report.forms import Block, Column, Material, Table, Topic
from market.report.words import counted, plain, share, sums

SELLERS: Final = 5
"""Sellers whose lost sales are told."""

CAUSES: Final = 4
"""Causes that are told of each."""

_USING: Final = STAGES.index("using")

_JOURNEY: Final = Topic(
    "journey",
    "Journey",
    "A journey passes a stage by deciding to go on, leaves it by deciding to go, and is open while"
    " it does neither; open is not left. Step is the share of those that reached the stage and"
    " passed it; total is the share of all journeys. The time is the median from entering a stage"
    " to passing or leaving it.",
)
_DROPOFF: Final = Topic(
    "dropoff",
    "Drop-off",
    "Reasons are those that buyers recorded, of a closed list; without one, the session was closed"
    " without a word. At stake is what they would have bought: the price of the chosen service in"
    " their last decision, or else of the best; where nothing was priced it counts as nothing.",
)
_WHY: Final = Topic(
    "why",
    "Why sales were lost",
    "A sale is lost where a journey that saw a seller went on, or ended, without it. What would"
    " have changed it is reckoned from what buyers recorded when they decided: their limit, or"
    f" their scores at another price. Shown are the {SELLERS} sellers that most journeys saw and"
    f" did not buy from, and up to {CAUSES} causes of each; `market why --seller NAME` tells all of"
    " any seller.",
)
_STAGES: Final = [
    Column("stage", "Stage"),
    Column("reached", "Reached", "count"),
    Column("passed", "Passed", "count"),
    Column("left", "Left", "count"),
    Column("open", "Open", "count"),
    Column("step_share", "Step", "share"),
    Column("total_share", "Total", "share"),
    Column("median_seconds", "Median time", "seconds"),
]
_REASONS: Final = [
    Column("stage", "Left at"),
    Column("reason", "Reason"),
    Column("journeys", "Journeys", "count"),
    Column("at_stake_minor", "At stake", "money"),
]
_CAUSES: Final = [
    Column("seller", "Seller", "name"),
    Column("lost", "Lost", "count", "journeys that saw it and went on or ended without it"),
    Column("seen", "Of", "count", "journeys that saw it"),
    Column(
        "cause",
        "Lost for",
        "text",
        "a reason that buyers gave, a part of their scores, or a gate of the market",
    ),
    Column("journeys", "Journeys", "count", "those of the row"),
    Column(
        "at_stake",
        "At stake",
        "name",
        "what these sales would have brought; what was paid all the same, by buyers that were not"
        " content, is no more at stake",
    ),
    Column("change", "What would have changed it", "words"),
]
_LOST_AT: Final = [
    Column("seller", "Seller", "name"),
    Column("stage", "Lost at"),
    Column("journeys", "Journeys", "count", "those of the row"),
    Column("to", "To whom", "name", "what was most often taken instead, and how often"),
]


def journey(of: Material) -> Block:
    """Tell how far journeys came."""
    rows = analytics.funnel(of.facts).to_dicts()
    entered, delivered = rows[0]["reached"], rows[_USING]["passed"]
    if not entered:
        return _JOURNEY.nothing("No journey was begun.")
    says = [
        f"Of {counted(entered, 'journey')}, {delivered:,} ({share(delivered / entered)}) bought"
        f" and were content with what came; {rows[-1]['passed']:,} passed all six stages."
    ]
    worst = max(rows, key=lambda row: row["left"])
    if worst["left"]:
        says.append(
            f"Most left at {plain(worst['stage'])}: {worst['left']:,} of the"
            f" {worst['reached']:,} that came so far."
        )
    if still := sum(row["open"] for row in rows):
        says.append(f"{counted(still, 'journey is', 'journeys are')} still open.")
    return _JOURNEY.found(says, Table(title="Journeys by stage", columns=_STAGES, rows=rows))


def dropoff(of: Material) -> Block:
    """Tell why journeys were left, and what was at stake."""
    rows = analytics.reasons(of.facts).to_dicts()
    if not rows:
        return _DROPOFF.nothing("No journey was left.")
    total = sum(row["journeys"] for row in rows)
    first = max(rows, key=lambda row: row["journeys"])
    reason = plain(first["reason"]) if first["reason"] else "without a word"
    says = [
        f"{counted(total, 'journey')} ended early, most of them ({first['journeys']:,}) at"
        f" {plain(first['stage'])}: {reason}."
    ]
    if priced := [row for row in rows if row["currency"] and row["at_stake_minor"]]:
        says.append(f"In all, {sums(priced, 'at_stake_minor')} were at stake.")
    return _DROPOFF.found(says, Table(title="Reasons to leave", columns=_REASONS, rows=rows))


def why(of: Material) -> Block:
    """Tell to whom and why the sellers that lost most lost their sales."""
    sellers = analytics.most_lost(of.facts, SELLERS)["seller_id"]
    answers = [answer for seller in sellers if (answer := analytics.why(of.facts, seller)).lost]
    if not answers:
        return _WHY.nothing("No seller that a journey saw lost a sale.")
    answers.sort(key=lambda answer: -answer.lost)
    worst = answers[0]
    cause = worst.causes[0]
    says = [
        f"{worst.seller} lost most: {worst.lost:,} of the {worst.seen:,} journeys that saw it went"
        f" on or ended without it. The first cause is {plain(cause.cause)} ({cause.journeys:,}):"
        f" {cause.change}."
    ]
    causes = [row for answer in answers for row in _causes_of(answer)]
    stages = [row for answer in answers for row in _stages_of(answer)]
    return _WHY.found(
        says,
        Table(title="Lost for which cause", columns=_CAUSES, rows=causes),
        Table(title="Lost at which stage, and to whom", columns=_LOST_AT, rows=stages),
    )


def _causes_of(answer: Why) -> list[dict[str, Any]]:
    return [
        {
            "seller": answer.seller,
            "lost": answer.lost,
            "seen": answer.seen,
            "cause": one.cause,
            "journeys": one.journeys,
            "at_stake_minor": one.at_stake_minor,
            "paid_minor": one.paid_minor,
            "at_stake": one.stake,
            "change": one.change,
        }
        for one in answer.causes[:CAUSES]
    ]


def _stages_of(answer: Why) -> list[dict[str, Any]]:
    return [
        {
            "seller": answer.seller,
            "stage": lost.stage,
            "journeys": lost.journeys,
            "to": f"{lost.to[0].slug} ({lost.to[0].journeys})" if lost.to else None,
        }
        for lost in answer.stages
    ]
