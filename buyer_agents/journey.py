"""One journey's record: the stage it is in, its decisions in the session, and its result."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec

from buyer_agents.client import MarketClient
from buyer_agents.errors import Refused
from buyer_agents.needs import Ranked
from buyer_agents.session_verbs import Producer
from market.protocol.events import Outcome, Reason, Stage
from market.protocol.text import one_line
from market.protocol.wire import Alternative, Decision, ReceiptView, WriteEvent

MAX_ALTERNATIVES: Final = 10
MAX_DETAIL: Final = 2_000


class Left(Exception):
    """The buyer leaves the market at the present stage, for a reason of the closed list."""

    def __init__(self, reason: Reason, detail: str, alternatives: Sequence[Ranked] = ()) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail
        self.alternatives = alternatives


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """How a journey ended. ``outcome`` is "advance" for one that passed all six stages.

    ``stage`` is the last one entered, ``seconds`` the time spent in each by the client's clock,
    ``interventions`` the controls on its order that were seen in the log.
    """

    session_id: str
    order_id: str | None
    service_id: str | None
    seller_id: str | None
    outcome: Outcome
    stage: Stage
    reason: Reason | None
    detail: str
    outputs: list[dict[str, Any]]
    receipt: ReceiptView | None
    interventions: list[str]
    seconds: dict[str, float]


class Diary:
    """Writes a journey's decisions into its session and gathers the result.

    ``passed`` are the stages whose decision to go on stands there already.
    """

    def __init__(
        self,
        market: MarketClient,
        session_id: str,
        next_offset: int,
        *,
        passed: Collection[Stage] = (),
    ) -> None:
        self.session_id = session_id
        self.last_offset = next_offset - 1
        self.order_id: str | None = None
        self.service_id: str | None = None
        self.seller_id: str | None = None
        self.outputs: list[dict[str, Any]] = []
        self.receipt: ReceiptView | None = None
        self.interventions: list[str] = []
        self._market = market
        self._passed = passed
        self._producer_id = market.nonce()
        self._written = 0
        self._stage: Stage = "finding"
        self._seconds: dict[str, float] = {}
        self._entered_at = market.now()
        self._end: tuple[Outcome, Reason | None, str] = ("advance", None, "")

    def enter(self, stage: Stage) -> None:
        """The stage begins."""
        self._stage = stage
        self._entered_at = self._market.now()

    async def advance(self, detail: str, alternatives: Iterable[Ranked] = ()) -> None:
        """Record that the buyer passed the present stage."""
        await self._decide("advance", None, detail, alternatives)

    def left_before(self, decision: Decision) -> None:
        """The buyer left the market by this decision, which is recorded."""
        self._stage = decision.stage
        self._end = ("leave", decision.reason, decision.detail)

    async def leave(self, left: Left) -> None:
        """Record that the buyer leaves the market here; a log that was closed stays as it is."""
        self._end = ("leave", left.reason, left.detail)
        try:
            await self._decide("leave", left.reason, left.detail, left.alternatives)
        except Refused as refused:
            if refused.code != "session_closed":
                raise

    def journey(self) -> Journey:
        """Return the result so far."""
        outcome, reason, detail = self._end
        return Journey(
            session_id=self.session_id,
            order_id=self.order_id,
            service_id=self.service_id,
            seller_id=self.seller_id,
            outcome=outcome,
            stage=self._stage,
            reason=reason,
            detail=detail,
            outputs=self.outputs,
            receipt=self.receipt,
            interventions=self.interventions,
            seconds=self._seconds,
        )

    async def _decide(
        self,
        outcome: Outcome,
        reason: Reason | None,
        detail: str,
        alternatives: Iterable[Ranked],
    ) -> None:
        self._seconds[self._stage] = self._market.now() - self._entered_at
        if outcome == "advance" and self._stage in self._passed:
            return
        decision = Decision(
            stage=self._stage,
            outcome=outcome,
            reason=reason,
            detail=one_line(detail, MAX_DETAIL),
            service_id=self.service_id,
            order_id=self.order_id,
            alternatives=[_alternative(ranked) for ranked in alternatives][:MAX_ALTERNATIVES],
        )
        event = WriteEvent(kind="decision.made", body=msgspec.to_builtins(decision))
        producer = Producer(self._producer_id, 0, self._written)
        appended = await self._market.write_events(self.session_id, [event], producer=producer)
        self._written += 1
        self.last_offset = appended.next_offset - 1


def _alternative(ranked: Ranked) -> Alternative:
    return Alternative(
        service_id=ranked.candidate.service_id,
        slug=ranked.candidate.slug,
        amount_minor=ranked.candidate.amount_minor,
        score=round(ranked.score, 6),
        parts={name: round(part, 6) for name, part in ranked.parts.items()},
        reason=ranked.reason,
        limit_minor=ranked.limit_minor,
    )
