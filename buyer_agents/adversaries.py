"""Buyers who mean harm: what honest ones, and the market's rules, are tried against.

They are policies like the others, named in a scenario as ``sybil-reviewer``, ``wash-trader`` and
``bad-mouther``. Each has one seller in mind, by its handle, and buys from no other: without an
offer of that seller it leaves.
"""

from collections.abc import Sequence
from typing import Final

from buyer_agents.needs import Candidate, Experience, Memory, Need, Outputs, Ranked
from buyer_agents.weighing import Answer, Judgement, Parts, Weighing
from market.protocol.wire import TrustView


class OneSeller(Weighing):
    """Buys from ``target`` alone, whatever it costs and whatever is said of it."""

    is_honest: Final = False

    def __init__(self, target: str) -> None:
        self.target: Final = target

    def parts(self, candidate: Candidate, lowest_minor: int, experience: Experience) -> Parts:
        return {"target": 1.0}

    def rank(self, candidates: Sequence[Candidate], need: Need, memory: Memory) -> list[Ranked]:
        """Only the target's offers, the cheapest first: reputation is bought in small coin."""
        own = [one for one in candidates if one.found.seller_handle == self.target]
        return super().rank(sorted(own, key=lambda one: one.amount_minor), need, memory)

    def trusts(self, report: TrustView, need: Need) -> Answer:
        return "allow"


class SybilReviewer(OneSeller):
    """One of many identities of one person, made to praise a seller."""

    def judge(self, outputs: Outputs, need: Need) -> Judgement:
        return Judgement("good", "The best there is.")


class WashTrader(OneSeller):
    """Buys from its own accomplice, so that money seems to say what nobody else says."""

    def judge(self, outputs: Outputs, need: Need) -> Judgement:
        return Judgement("good", "As always.")


class BadMouther(OneSeller):
    """Buys from a rival to say that it was bad, whatever it was."""

    def judge(self, outputs: Outputs, need: Need) -> Judgement:
        return Judgement("bad", "Worthless.")
