"""How buyers choose. A policy is pure: the same offers, need and memory give the same order.

Built in are ``cheapest``, ``best-trusted``, ``best-value`` and ``loyal``; a policy of one's own
is any class with the methods of ``Policy``, named as ``package.module:Class``.
"""

import difflib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol, runtime_checkable

from buyer_agents.needs import Candidate, Experience, Memory, Need, Outputs, Ranked
from market.protocol.commitments import Verdict
from market.protocol.wire import TrustView

WARNINGS: Final = frozenset({"low_score", "price_rising", "closed_ring", "frozen"})
"""Flags of a trust report that make a careful buyer ask. (Being new is no fault.)"""

Answer = Literal["allow", "ask", "leave"]
Parts = Mapping[str, float]


class UnknownPolicy(ValueError):
    """No policy has that name; the message lists those there are."""


class Judgement(NamedTuple):
    """What a buyer thinks of a delivery."""

    verdict: Verdict
    comment: str


@runtime_checkable
class Policy(Protocol):
    """The choices of a buyer."""

    def rank(self, candidates: Sequence[Candidate], need: Need, memory: Memory) -> list[Ranked]:
        """Order the candidates, best first; the parts of a score have short lower-case names."""

    def trusts(self, report: TrustView, need: Need) -> Answer:
        """Buy from this seller, ask a human first, or look elsewhere?"""

    def judge(self, outputs: Outputs, need: Need) -> Judgement:
        """Was the delivery worth its price?"""


class Weighing(ABC):
    """What the built-in policies share: each says how it weighs one offer among the others."""

    @abstractmethod
    def parts(self, candidate: Candidate, lowest_minor: int, experience: Experience) -> Parts:
        """Return the parts of a candidate's score; the cheapest offer costs ``lowest_minor``."""

    def rank(self, candidates: Sequence[Candidate], need: Need, memory: Memory) -> list[Ranked]:
        """Order by score; among equals the search's order stays."""
        lowest_minor = min((candidate.amount_minor for candidate in candidates), default=0)
        ranked = [
            Ranked(
                candidate,
                self.parts(candidate, lowest_minor, memory.get(candidate.seller_id, Experience())),
            )
            for candidate in candidates
        ]
        return sorted(ranked, key=lambda one: one.score, reverse=True)

    def trusts(self, report: TrustView, need: Need) -> Answer:
        """Allow whoever scores at least what the need demands."""
        return "allow" if report.score >= need.min_trust else "leave"

    def judge(self, outputs: Outputs, need: Need) -> Judgement:
        """Good if every chunk has the wanted members and the need's own check agrees."""
        if not outputs:
            return Judgement("bad", "Nothing was delivered.")
        for number, output in enumerate(outputs):
            missing = [name for name in need.wants if name not in output]
            if missing:
                return Judgement("bad", f"Chunk {number} lacks {', '.join(missing)}.")
        if need.check is not None and not need.check(outputs):
            return Judgement("bad", "The delivery did not pass the check of the need.")
        return Judgement("good", "Delivered as described.")


class Cheapest(Weighing):
    """The lowest price for the job, whoever asks it."""

    def parts(self, candidate: Candidate, lowest_minor: int, experience: Experience) -> Parts:
        return {"price": _cheapness(candidate, lowest_minor)}


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
            "price": self.price_weight * _cheapness(candidate, lowest_minor),
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


POLICIES: Final[dict[str, type[Policy]]] = {
    "cheapest": Cheapest,
    "best-trusted": BestTrusted,
    "best-value": BestValue,
    "loyal": Loyal,
}
"""The built-in policies by the name that scenarios use."""

ADVERSARIES: Final = {
    "sybil-reviewer": "buyer_agents.adversaries:SybilReviewer",
    "wash-trader": "buyer_agents.adversaries:WashTrader",
    "bad-mouther": "buyer_agents.adversaries:BadMouther",
}
"""Policies of buyers who mean harm, by name: they are loaded where a story asks for them."""


def policy_named(name: str, **params: Any) -> Policy:
    """Return the policy called ``name``, made with ``params``.

    Raises:
        UnknownPolicy: there is none of that name, or it is no policy.
    """
    made = _policy_class(name)(**params)
    if not isinstance(made, Policy):
        raise UnknownPolicy(f"{name} is no policy: it needs the methods rank, trusts and judge")
    return made


def _policy_class(name: str) -> Any:
    if name in POLICIES:
        return POLICIES[name]
    module_name, colon, class_name = ADVERSARIES.get(name, name).partition(":")
    if not colon:
        near = difflib.get_close_matches(name, [*POLICIES, *ADVERSARIES], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise UnknownPolicy(
            f"no policy {name!r}{hint} Built in are {', '.join([*POLICIES, *ADVERSARIES])};"
            " one of your own is named 'package.module:Class'"
        )
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownPolicy(f"no policy {name!r}: {error}") from error


def _cheapness(candidate: Candidate, lowest_minor: int) -> float:
    """Return 1.0 for the cheapest offer, 0.5 for one at twice its price."""
    return lowest_minor / candidate.amount_minor if candidate.amount_minor else 1.0
