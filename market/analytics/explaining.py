"""Why a seller's sales were lost: at which stage, to whom, and what would have changed it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from textwrap import wrap
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
_WORDS: Final = 104
"""Letters of the last column in one line."""


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
    """What lost sales, whatever the stage.

    ``cause`` is a reason of the closed list, a part of the scores, or a gate of the market.
    ``at_stake_minor`` is what these sales would have brought, by currency; ``paid_minor`` is what
    was paid all the same, by buyers that were not content, and at stake no more.
    """

    cause: str
    journeys: int
    at_stake_minor: dict[str, int]
    paid_minor: dict[str, int]
    change: str

    @property
    def stake(self) -> str:
        """What these sales were worth, in words."""
        lost = [str(Money(amount, code)) for code, amount in self.at_stake_minor.items()]
        paid = [f"paid {Money(amount, code)}" for code, amount in self.paid_minor.items()]
        return ", ".join([*lost, *paid])


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
        Cause(
            cause=cause,
            journeys=len(lost),
            at_stake_minor=_sums((one, (one.amount_minor or 0) - one.paid_minor) for one in lost),
            paid_minor=_sums((one, one.paid_minor) for one in lost),
            change=remedy(lost),
        )
        for cause, lost in ranked
    ]


def _sums(amounts: Iterable[tuple[Loss, int]]) -> dict[str, int]:
    """Return amounts of losses summed by currency, without those that come to nothing."""
    sums: Counter[str] = Counter()
    for one, amount_minor in amounts:
        if one.currency and amount_minor > 0:
            sums[one.currency] += amount_minor
    return dict(sorted(sums.items()))


def _table(rows: Sequence[tuple[str, str, str, str]]) -> list[str]:
    """Return rows as lines; the last column goes on below itself where it is long."""
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for at, journeys, to, change in rows:
        first, *more = wrap(change, _WORDS, break_on_hyphens=False) or [""]
        start = f"  {at:{widths[0]}}  {journeys:>{widths[1]}}  {to:{widths[2]}}  "
        lines += [start + first, *[" " * len(start) + line for line in more]]
    return lines


def _row_of_cause(cause: Cause) -> tuple[str, str, str, str]:
    return cause.cause, str(cause.journeys), cause.stake or "-", cause.change


def _row_of_stage(lost: LostAt) -> tuple[str, str, str, str]:
    first = lost.to[0] if lost.to else None
    return (
        lost.stage.replace("_", "-").capitalize(),
        str(lost.journeys),
        f"{first.slug} ({first.journeys})" if first else "-",
        lost.change,
    )
