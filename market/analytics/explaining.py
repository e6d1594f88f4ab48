"""Why a seller's sales were lost: at which stage, to whom, and what would have changed it."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from market.analytics.causes import UNSAID
from market.analytics.facts import Facts
from market.analytics.fates import Loss
from market.analytics.lost_sales import fates, seller_of
from market.analytics.remedies import remedy
from market.protocol.events import STAGES, Stage
from market.protocol.money import Money

_CAUSES: Final = ("lost for", "journeys", "at stake", "what would have changed it")
_STAGES: Final = ("lost at", "journeys", "to whom", "what would have changed it")


class Rival(msgspec.Struct, frozen=True, kw_only=True):
    """A service that was taken instead, and in how many journeys."""

    slug: str
    journeys: int


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A reason of the closed list, and how many journeys gave it; null: ranked lower."""

    reason: str | None
    journeys: int


class LostAt(msgspec.Struct, frozen=True, kw_only=True):
    """What was lost at one stage. ``to`` and ``reasons`` begin with the most frequent."""

    stage: Stage
    journeys: int
    to: list[Rival]
    reasons: list[Given]
    change: str


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What lost sales, whatever the stage: a reason of the closed list, or a part of the scores.

    ``at_stake_minor`` is what these sales were worth, by currency.
    """

    cause: str
    journeys: int
    at_stake_minor: dict[str, int]
    change: str


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a seller in the journeys that saw it: seen = won + open + lost.

    ``won``: bought, and not left for its quality. ``open``: it can still be bought, or is being
    delivered. ``causes`` are what lost sales, the one that lost most journeys first; ``stages`` are
    those where they were lost, in the order of a journey.
    """

    seller: str
    seen: int
    won: int
    open: int
    lost: int
    causes: list[Cause]
    stages: list[LostAt]

    def __str__(self) -> str:
        """Return it as two tables for people: by cause and by stage."""
        share = f" ({self.won / self.seen:.0%})" if self.seen else ""
        still = f", {self.open} open" if self.open else ""
        journeys = "1 journey" if self.seen == 1 else f"{self.seen} journeys"
        head = f"{self.seller} was seen in {journeys}; {self.won} finished{share}{still}."
        if not self.lost:
            return head
        causes = _table([_CAUSES, *map(_row_of_cause, self.causes)])
        stages = _table([_STAGES, *map(_row_of_stage, self.stages)])
        return "\n".join([head, *causes, "", *stages])


def why(facts: Facts, seller: str) -> Why:
    """Return to whom and why a seller's sales were lost, and what would have changed it.

    ``seller`` is a handle or an agent id (all services of that seller), a slug or a service id.
    The answers re-score what buyers recorded when they decided (``losses`` has each row).

    Raises:
        UnknownSeller: nobody goes by that name.
    """
    count = Counter({"won": 0, "open": 0})
    lost: dict[Stage, list[Loss]] = {}
    for fate in fates(facts, seller):
        if isinstance(fate, Loss):
            lost.setdefault(fate.stage, []).append(fate)
        else:
            count[fate] += 1
    every = [one for stage in STAGES for one in lost.get(stage, [])]
    return Why(
        seller=seller_of(facts, seller).name,
        seen=count.total() + len(every),
        won=count["won"],
        open=count["open"],
        lost=len(every),
        causes=_causes(every),
        stages=[_lost_at(stage, lost[stage]) for stage in STAGES if stage in lost],
    )


def _lost_at(stage: Stage, lost: Sequence[Loss]) -> LostAt:
    rivals = Counter(one.to_slug for one in lost if one.to_slug)
    reasons = Counter(one.reason for one in lost)
    return LostAt(
        stage=stage,
        journeys=len(lost),
        to=[Rival(slug=slug, journeys=number) for slug, number in rivals.most_common()],
        reasons=[Given(reason=reason, journeys=number) for reason, number in reasons.most_common()],
        change=remedy(lost),
    )


def _causes(every: Sequence[Loss]) -> list[Cause]:
    """Rank causes by the journeys they lost; of equals the one that struck earlier is first."""
    by_cause: dict[str, list[Loss]] = {}
    for one in every:
        by_cause.setdefault(one.cause or UNSAID, []).append(one)
    ranked = sorted(by_cause.items(), key=lambda one: -len(one[1]))
    return [
        Cause(cause=cause, journeys=len(lost), at_stake_minor=_at_stake(lost), change=remedy(lost))
        for cause, lost in ranked
    ]


def _at_stake(lost: Sequence[Loss]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for one in lost:
        if one.currency and one.amount_minor:
            sums[one.currency] += one.amount_minor
    return dict(sorted(sums.items()))


def _table(rows: Sequence[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"  {at:{widths[0]}}  {journeys:>{widths[1]}}  {to:{widths[2]}}  {change}"
        for at, journeys, to, change in rows
    ]


def _row_of_cause(cause: Cause) -> tuple[str, str, str, str]:
    amounts = cause.at_stake_minor.items()
    money = ", ".join(str(Money(amount, code)) for code, amount in amounts)
    return cause.cause, str(cause.journeys), money or "-", cause.change


def _row_of_stage(lost: LostAt) -> tuple[str, str, str, str]:
    first = lost.to[0] if lost.to else None
    return (
        lost.stage.replace("_", "-").capitalize(),
        str(lost.journeys),
        f"{first.slug} ({first.journeys})" if first else "-",
        lost.change,
    )
