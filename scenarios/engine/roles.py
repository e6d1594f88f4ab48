"""Roles: who everybody in a story is, which its market cannot know. Kept as ``cast.json``."""

from collections.abc import Mapping
from typing import Any, Final

from buyer_agents import making
from buyer_agents.adversaries import SybilReviewer, WashTrader
from buyer_agents.policies import ADVERSARIES, POLICIES
from market.analytics.truths import Member
from scenarios.engine.form import BuyerPart, Scenario, names_of
from seller_services.behaviours import BEHAVIOURS


def cast_of(scenario: Scenario, names: Mapping[str, str]) -> list[Member]:
    """Return the buyers and sellers of a story; ``names`` are by agent id.

    Buyers who praise one seller on purpose are a ring with it, whatever the seller says to that.
    """
    ids = {name: agent_id for agent_id, name in names.items()}
    praised = {ring for part in scenario.buyers if (ring := _ring(part)) is not None}
    sellers = [
        Member(
            agent_id=ids[name],
            name=name,
            kind="seller",
            part=part.name,
            policy=None,
            behaviour=part.behaviour,
            is_honest=_is_honest(part.behaviour, BEHAVIOURS),
            ring=name if name in praised else None,
        )
        for part in scenario.sellers
        for name in names_of(part)
    ]
    buyers = [
        Member(
            agent_id=ids[name],
            name=name,
            kind="buyer",
            part=part.name,
            policy=part.policy,
            behaviour=None,
            is_honest=_is_honest(part.policy, _POLICIES),
            ring=_ring(part),
        )
        for part in scenario.buyers
        for name in names_of(part)
    ]
    return sellers + buyers


_POLICIES: Final = {**POLICIES, **ADVERSARIES}


def _ring(part: BuyerPart) -> str | None:
    """Return the seller that these buyers are made to praise."""
    target = part.params.get("target")
    is_ring = _is_a(part.policy, _POLICIES, SybilReviewer, WashTrader)
    return target if is_ring and isinstance(target, str) else None


def _is_honest(name: str, known: Mapping[str, str | type]) -> bool:
    return making.is_honest(making.class_named(name, known, "class"))


def _is_a(name: str, known: Mapping[str, str | type], *kinds: type) -> bool:
    cls: Any = making.class_named(name, known, "class")
    return isinstance(cls, type) and issubclass(cls, kinds)
