"""What a buyer is after, and the offers that it weighs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from market.protocol.events import Reason
from market.protocol.wire import FoundView, QuoteView, ServiceView

Outputs = Sequence[Mapping[str, Any]]
Check = Callable[[Outputs], bool]


@dataclass(frozen=True, kw_only=True)
class Need:
    """One job to be done: what to search for, the input, and what the result must be.

    ``wants`` are the members that every delivered chunk must have; ``check`` may look at the
    whole delivery. Money is in minor units of ``currency``.
    """

    query: str
    input: Mapping[str, Any]
    tag: str | None = None
    currency: str = "XTS"
    max_price_minor: int | None = None
    max_p95_ms: int | None = None
    min_trust: float = 0.0
    wants: tuple[str, ...] = ()
    check: Check | None = None
    recommend_to: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A listed service under consideration.

    Before it is appraised, ``amount_minor`` is its standing price (of one unit of work, where it
    is paid by the unit); from then on it is the price of the whole job.
    """

    found: FoundView
    amount_minor: int

    @property
    def service_id(self) -> str:
        return self.found.service_id

    @property
    def seller_id(self) -> str:
        return self.found.seller_id

    @property
    def slug(self) -> str:
        return self.found.slug


@dataclass(frozen=True, kw_only=True)
class Offer(Candidate):
    """A candidate that fits the need, with its manifest and a quote for the need's input."""

    service: ServiceView
    quote: QuoteView


@dataclass(frozen=True)
class Ranked:
    """A candidate with the score that a policy gave it; the parts add up to the score.

    ``reason`` says why it is out of the question, if it is. ``limit_minor`` is the most that the
    need allows to pay for the job: of offers that fit, and of those with the reason ``price``.
    """

    candidate: Candidate
    parts: Mapping[str, float]
    reason: Reason | None = None
    limit_minor: int | None = None

    @property
    def score(self) -> float:
        return sum(self.parts.values())


@dataclass(frozen=True)
class Experience:
    """How a buyer's own orders with one seller went."""

    good: int = 0
    bad: int = 0


Memory = Mapping[str, Experience]
"""A buyer's experience by seller id, read from its memory at the market."""
