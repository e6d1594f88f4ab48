"""What a policy is, and what those that are built in share.

A policy answers three questions: in which order, from whom, and was it any good. It may say more
by having one of the methods of ``Sequential``, ``Bargaining``, ``Checking`` or ``PerJourney``; one
that has to ask somebody else declares its methods ``async``.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol, runtime_checkable

from msgspec import Meta

from buyer_agents.needs import Candidate, Experience, Memory, Need, Offer, Outputs, Ranked
from buyer_agents.returning import WrongReturn
from market.protocol.commitments import Verdict
from market.protocol.signing import SigningKey
from market.protocol.wire import TrustView

WARNINGS: Final = frozenset({"low_score", "price_rising", "closed_ring", "frozen"})
"""Flags of a trust report that make a careful buyer ask. (Being new is no fault.)"""

Answer = Literal["allow", "ask", "leave"]
Parts = Mapping[str, float]
Share = Annotated[float, Meta(ge=0, le=1)]
PARTS: Final = "finite numbers by the names of a score's parts"


class NoChoice(Exception):
    """A policy could not decide; the message says why, and the buyer leaves the market."""


class Judgement(NamedTuple):
    """What a buyer thinks of a delivery."""

    verdict: Verdict
    comment: str


@runtime_checkable
class Policy(Protocol):
    """The choices of a buyer. Each method may also be a coroutine function."""

    def rank(
        self, candidates: Sequence[Candidate], need: Need, memory: Memory
    ) -> list[Ranked] | Awaitable[list[Ranked]]:
        """Order the candidates, best first; the parts of a score have short lower-case names.

        Who is left out is out of the question. It is asked twice: about all that is listed, and
        about those that fit the need, which are ``Offer``s.
        """

    def trusts(self, report: TrustView, need: Need) -> Answer | Awaitable[Answer]:
        """Buy from this seller, ask a human first, or look elsewhere?"""

    def judge(self, outputs: Outputs, need: Need) -> Judgement | Awaitable[Judgement]:
        """Was the delivery worth its price?"""


@runtime_checkable
class Sequential(Protocol):
    """A policy that reads one offer after the other, and stops at one that is good enough."""

    def is_enough(self, offer: Offer, need: Need) -> bool:
        """Read no more offers after this one?"""


@runtime_checkable
class Bargaining(Protocol):
    """A policy that names lower prices; ``haggling`` speaks for it."""

    def counter(self, quoted_minor: int, best_minor: int, named: Sequence[int]) -> int | None:
        """Return the amount to name next, below ``best_minor``, or None to leave it at that.

        ``quoted_minor`` was asked at first, ``best_minor`` is what the seller has signed by now,
        and ``named`` are the amounts named so far. All are for the whole job.
        """


@runtime_checkable
class Checking(Protocol):
    """A policy that lets sub-agents check a delivery while it comes; ``checking`` lets them in."""

    def checkers(self) -> Sequence[SigningKey]:
        """Return a key for each sub-agent of one journey."""

    def complaint(self, index: int, output: Mapping[str, object], need: Need) -> str:
        """Return what is wrong with chunk ``index``, or "". A sub-agent asks."""


@runtime_checkable
class PerJourney(Protocol):
    """A policy that is of another mind on each journey."""

    def for_journey(self) -> Policy:
        """Return the policy for one journey."""


class Judging:
    """What the built-in policies share: whom they trust, and how they judge."""

    def trusts(self, report: TrustView, need: Need) -> Answer:
        """Allow whoever scores at least what the need demands."""
        return "allow" if report.score >= need.min_trust else "leave"

    def judge(self, outputs: Outputs, need: Need) -> Judgement:
        """Good if every chunk has the wanted members and the need's own check agrees."""
        if not outputs:
            return Judgement("bad", "Nothing was delivered.")
        for number, output in enumerate(outputs):
            if complaint := lacking(number, output, need):
                return Judgement("bad", complaint)
        if need.check is not None and not need.check(outputs):
            return Judgement("bad", "The delivery did not pass the check of the need.")
        return Judgement("good", "Delivered as described.")


class Weighing(Judging, ABC):
    """A policy that says how it weighs one offer among the others."""

    @abstractmethod
    def parts(self, candidate: Candidate, lowest_minor: int, experience: Experience) -> Parts:
        """Return the parts of a candidate's score; the cheapest offer costs ``lowest_minor``."""

    def rank(self, candidates: Sequence[Candidate], need: Need, memory: Memory) -> list[Ranked]:
        """Order by score; among equals the search's order stays."""
        lowest_minor = min((candidate.amount_minor for candidate in candidates), default=0)
        ranked = [
            Ranked(
                candidate,
                self._parts(candidate, lowest_minor, memory.get(candidate.seller_id, Experience())),
            )
            for candidate in candidates
        ]
        return sorted(ranked, key=lambda one: one.score, reverse=True)

    def _parts(self, candidate: Candidate, lowest_minor: int, experience: Experience) -> Parts:
        parts = self.parts(candidate, lowest_minor, experience)
        if not are_parts(parts):
            raise WrongReturn(self.parts, parts, PARTS)
        return parts


def are_parts(value: Any) -> bool:
    """Whether these are the parts of a score: finite numbers by name."""
    return isinstance(value, Mapping) and all(
        isinstance(name, str)
        and isinstance(part, int | float)
        and not isinstance(part, bool)
        and math.isfinite(part)
        for name, part in value.items()
    )


def lacking(index: int, output: Mapping[str, object], need: Need) -> str:
    """Return which of the wanted members a chunk lacks, as a sentence, or ""."""
    missing = [name for name in need.wants if name not in output]
    return f"Chunk {index} lacks {', '.join(missing)}." if missing else ""


def cheapness(candidate: Candidate, lowest_minor: int) -> float:
    """Return 1.0 for the cheapest offer, 0.5 for one at twice its price."""
    return lowest_minor / candidate.amount_minor if candidate.amount_minor else 1.0


class Cheapest(Weighing):
    """The lowest price for the job, whoever asks it."""

    def parts(self, candidate: Candidate, lowest_minor: int, experience: Experience) -> Parts:
        return {"price": cheapness(candidate, lowest_minor)}


class BestTrusted(Weighing):
    """The best reputation at any allowed price; it asks a human about sellers with a warning."""

    def parts(self, candidate: Candidate, lowest_minor: int, experience: Experience) -> Parts:
        return {"trust": candidate.found.trust}

    def trusts(self, report: TrustView, need: Need) -> Answer:
        answer = super().trusts(report, need)
        return "ask" if answer == "allow" and WARNINGS.intersection(report.flags) else answer


class BestValue(Weighing):
    """Reputation, price and fit to the search, weighed against each other."""

    trust_weight: Final = 0.45
    price_weight: Final = 0.35
    fit_weight: Final = 0.2

    def parts(self, candidate: Candidate, lowest_minor: int, experience: Experience) -> Parts:
        return {
            "trust": self.trust_weight * candidate.found.trust,
            "price": self.price_weight * cheapness(candidate, lowest_minor),
            "fit": self.fit_weight * candidate.found.score,
        }


class Loyal(BestValue):
    """Like best value, but sellers that delivered well to this buyer before come first."""

    def parts(self, candidate: Candidate, lowest_minor: int, experience: Experience) -> Parts:
        good, bad = experience.good, experience.bad
        return {
            **super().parts(candidate, lowest_minor, experience),
            "loyalty": (good - bad) / (good + bad + 1),
        }
