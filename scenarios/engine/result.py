"""What a run came to: for people, for ``run.json``, and for the exit code."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

import msgspec

from market.audit import Summary
from market.protocol.events import STAGES, Stage
from market.protocol.money import decimal_text
from scenarios.engine import metrics
from scenarios.engine.agents import BuyersView
from scenarios.engine.asking import Untested, name_of
from scenarios.engine.expressions import Value
from scenarios.engine.facts import Facts, JourneyFacts
from scenarios.engine.form import FAULT_KINDS, FaultKind, MarketPart
from scenarios.engine.story import Story, Trouble

PASSED: Final = 0
EXPECTATION_FAILED: Final = 1
BAD: Final = 2
INVARIANT_BROKEN: Final = 5
INTERRUPTED: Final = 130


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A part of what a run came to."""


class ExpectationResult(Result, frozen=True, kw_only=True):
    """An expectation and what was found; ``observed`` are the metrics it asks for.

    ``where`` is its file and line.
    """

    title: str
    that: str
    status: Literal["passed", "failed", "warned"]
    observed: dict[str, str]
    where: str = ""


class StageResult(Result, frozen=True, kw_only=True):
    """How one journey came through a stage that it reached."""

    stage: Stage
    outcome: Literal["passed", "left", "open"]
    reason: str
    detail: str
    seconds: float


class OrderResult(Result, frozen=True, kw_only=True):
    """One order. Money is in minor units."""

    id: str
    seller: str
    slug: str
    state: str
    held_minor: int
    captured_minor: int
    fee_minor: int
    returned_minor: int
    refunded_minor: int
    units: int
    units_delivered: int
    chunks: int
    receipt_ids: list[str]


class JourneyResult(Result, frozen=True, kw_only=True):
    """One buyer's journey. ``cut`` and ``resumed`` count its live streams.

    ``table`` is the name of the story's table that the buyer stands in.
    """

    buyer: str
    table: str = ""
    session_id: str
    outcome: str
    events: int
    cut: int
    resumed: int
    stages: list[StageResult]
    orders: list[OrderResult]


class SellerResult(Result, frozen=True, kw_only=True):
    """A seller at the end. Of its ``orders`` so many were ``sold``, ``failed`` or ``refunded``.

    ``captured_minor`` is what it was paid, fees included; ``trust`` is its score, from 0 to 1.
    """

    name: str
    table: str
    orders: int
    sold: int
    failed: int
    refunded: int
    captured_minor: int
    wallet_minor: int
    bond_minor: int
    trust: str
    is_frozen: bool


class WatcherResult(Result, frozen=True, kw_only=True):
    """One device. It got the entries from ``first`` on live; ``differences`` of them otherwise."""

    name: str
    who: str
    session_id: str
    over: str
    first: int
    entries: int
    differences: int
    cut: int
    resumed: int


class FaultResult(Result, frozen=True, kw_only=True):
    """One kind of fault and one whom it happened to: an agent, a device, or "the market"."""

    kind: FaultKind
    who: str
    times: int


class WorkResult(Result, frozen=True, kw_only=True):
    """One run of a sub-agent; ``outcome`` is "" if it was not over."""

    run: str
    title: str
    by: str
    session_id: str
    steps: int
    attempts: int
    outcome: str
    detail: str


class FunnelRow(Result, frozen=True, kw_only=True):
    """One stage over all journeys: reached is passed and left and still open."""

    stage: Stage
    reached: int
    passed: int
    left: int
    open: int
    reasons: dict[str, int]


class TroubleResult(Result, frozen=True, kw_only=True):
    """What in the story only the run could show to be wrong; ``where`` is its file and line."""

    where: str
    detail: str
    hint: str = ""


class RunResult(Result, frozen=True, kw_only=True):
    """A whole run.

    ``proven`` counts what the audit went through, ``findings`` are the invariants that it found
    broken: none, or the market has a bug. ``is_over`` is false if time was up first. ``market`` is
    how it was set up. ``troubles`` are mistakes of the story: code of its own that broke, and
    what tested nothing; ``notes`` are acts that never happened, and need not.
    """

    name: str
    seed: int
    market: MarketPart = MarketPart()
    currency: str
    seconds: float
    events: int
    is_over: bool
    is_interrupted: bool
    expectations: list[ExpectationResult]
    funnel: list[FunnelRow]
    journeys: list[JourneyResult]
    sellers: list[SellerResult] = []
    watchers: list[WatcherResult]
    faults: list[FaultResult] = []
    runs: list[WorkResult]
    wallets: dict[str, str]
    proven: Summary
    findings: list[str]
    troubles: list[TroubleResult] = []
    notes: list[str] = []
    folder: str

    @property
    def exit_code(self) -> int:
        """0, or what went wrong: 1 an expectation, 2 the story, 5 an invariant, 130 interrupted."""
        if self.findings:
            return INVARIANT_BROKEN
        if self.is_interrupted:
            return INTERRUPTED
        if self.troubles:
            return BAD
        failed = any(one.status == "failed" for one in self.expectations)
        return EXPECTATION_FAILED if failed else PASSED


def expectations_of(story: Story, facts: Facts) -> tuple[list[ExpectationResult], list[Trouble]]:
    """Hold every expectation against the facts.

    Of one that asks about nothing that happened there is a trouble, and no result.
    """
    results: list[ExpectationResult] = []
    troubles: list[Trouble] = []
    for number, part in enumerate(story.scenario.expect):
        expression = metrics.read(part.that)
        where = story.where("expect", number, "that")
        try:
            observed = {use.source: metrics.measure(facts, use) for use in expression.uses}
            holds = expression.holds(lambda use: metrics.measure(facts, use))
        except Untested as error:
            troubles.append(Trouble(where, f"{part.that}: it tests nothing: {error}", error.hint))
            continue
        not_met: Literal["failed", "warned"] = "warned" if part.severity == "warn" else "failed"
        results.append(
            ExpectationResult(
                title=part.title,
                that=part.that,
                status="passed" if holds else not_met,
                observed={source: written(value) for source, value in observed.items()},
                where=where,
            )
        )
    return results, troubles


def funnel_of(journeys: Sequence[JourneyFacts]) -> list[FunnelRow]:
    """Count how journeys came through each stage."""
    rows = []
    for stage in STAGES:
        reached = [one for journey in journeys for one in journey.stages if one.stage == stage]
        outcomes = Counter(one.outcome for one in reached)
        rows.append(
            FunnelRow(
                stage=stage,
                reached=len(reached),
                passed=outcomes["passed"],
                left=outcomes["left"],
                open=outcomes["open"],
                reasons=dict(Counter(one.reason for one in reached if one.reason).most_common()),
            )
        )
    return rows


def journey_result(
    facts: Facts, journey: JourneyFacts, *, table: str, view: BuyersView
) -> JourneyResult:
    """Return a journey with names in place of ids."""
    return JourneyResult(
        buyer=journey.buyer,
        table=table,
        session_id=journey.session_id,
        outcome=journey.outcome,
        events=len(journey.events),
        cut=view.cuts,
        resumed=view.resumes,
        stages=[StageResult(**one._asdict()) for one in journey.stages],
        orders=[
            OrderResult(
                id=order.order_id,
                seller=facts.names[order.seller_id],
                slug=order.slug,
                state=order.state,
                held_minor=order.held_minor,
                captured_minor=order.captured_minor,
                fee_minor=order.fee_minor,
                returned_minor=order.returned_minor,
                refunded_minor=order.refunded_minor,
                units=order.units,
                units_delivered=order.units_delivered,
                chunks=len(order.chunk_indexes),
                receipt_ids=order.receipt_ids,
            )
            for order in journey.orders
        ],
    )


def watchers_of(facts: Facts) -> list[WatcherResult]:
    """Return every device that watched a journey."""
    return [
        WatcherResult(
            name=one.name,
            who=one.who,
            session_id=one.session_id,
            over=one.over,
            first=one.first,
            entries=len(one.offsets),
            differences=one.differences,
            cut=one.cuts,
            resumed=one.resumes,
        )
        for one in facts.watchers
    ]


def faults_of(facts: Facts) -> list[FaultResult]:
    """Return how often each kind of fault happened to whom, in the order of their kinds."""
    happened = [
        (FAULT_KINDS.index(kind), who, times) for (kind, who), times in facts.faults.items()
    ]
    return [
        FaultResult(kind=FAULT_KINDS[kind], who=who, times=times)
        for kind, who, times in sorted(happened)
    ]


def runs_of(facts: Facts) -> list[WorkResult]:
    """Return every run of a sub-agent, with names in place of ids."""
    return [
        WorkResult(
            run=one.run,
            title=one.title,
            by=", ".join(sorted(name_of(facts, actor) for actor in one.actor_ids)),
            session_id=journey.session_id,
            steps=len(one.attempts),
            attempts=sum(one.attempts.values()),
            outcome=one.outcome,
            detail=one.detail,
        )
        for journey in facts.journeys
        for one in journey.runs
    ]


def wallets_of(facts: Facts) -> dict[str, str]:
    """Return what each named agent can spend, as a decimal."""
    return {
        facts.names[agent_id]: decimal_text(balance.available_minor, facts.currency)
        for agent_id, balance in facts.wallets.items()
    }


def written(value: Value) -> str:
    """Return what was found as people write it: 2, 0.20, 0.333333, 'budget'."""
    if not isinstance(value, Decimal):
        return repr(value)
    text = f"{value:.6f}".rstrip("0")
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}" if decimals else whole
