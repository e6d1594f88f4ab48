"""One journey, as its decisions, its sightings and its orders tell it. Pure."""

from collections.abc import Set

import msgspec

from market.protocol.events import Stage


class Part(msgspec.Struct, frozen=True):
    """One part of a score."""

    part: str
    value: float


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """A service that a decision weighed: one of the alternatives in ``schema.DECISIONS``."""

    service_id: str
    slug: str
    amount_minor: int | None
    score: float
    parts: list[Part]
    reason: str | None
    limit_minor: int | None


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, as in ``schema.DECISIONS``."""

    stage: Stage
    outcome: str
    reason: str | None
    detail: str
    service_id: str | None
    currency: str | None
    alternatives: list[Option]

    def option(self, services: Set[str]) -> Option | None:
        """Return the best of these services that it weighed."""
        return next((one for one in self.alternatives if one.service_id in services), None)

    def chose(self, services: Set[str]) -> bool:
        """Whether the buyer went on with one of these services."""
        return self.outcome == "advance" and self.service_id in services


class Sighted(msgspec.Struct, frozen=True, kw_only=True):
    """A service that the buyer was shown, as in ``schema.SIGHTINGS``."""

    kind: str
    service_id: str
    slug: str
    amount_minor: int | None
    trust: float | None


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """An order, as in ``schema.ORDERS``."""

    service_id: str
    slug: str
    state: str
    amount_minor: int
    currency: str
    captured_minor: int = 0
    refunded_minor: int = 0


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """One session: what was seen, decided and ordered, and the stage at which the buyer left."""

    session_id: str
    buyer_id: str
    is_closed: bool
    left_stage: Stage | None
    left_reason: str | None
    decisions: list[Decided]
    sightings: list[Sighted]
    orders: list[Ordered]

    def decided(self, stage: Stage) -> Decided | None:
        """Return the last decision on a stage."""
        found = [one for one in self.decisions if one.stage == stage]
        return found[-1] if found else None

    def saw(self, services: Set[str], kind: str) -> Sighted | None:
        """Return the last sighting of these services in events of a kind (a prefix of it)."""
        found = [
            one
            for one in self.sightings
            if one.service_id in services and one.kind.startswith(kind)
        ]
        return found[-1] if found else None
