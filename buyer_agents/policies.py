"""The policies of buyers by name. ``docs/policies.md`` tells what each is for.

A policy of one's own is any class with the methods of ``Policy``, named as
``package.module:Class``. What it draws by chance comes from a generator that it is given, so that
the same offers, need, memory and generator give the same choices.
"""

from collections.abc import Mapping
from typing import Any, Final

from buyer_agents import making
from buyer_agents.weighing import BestTrusted, BestValue, Cheapest, Loyal, Policy

POLICIES: Final[dict[str, str | type]] = {
    "cheapest": Cheapest,
    "best-trusted": BestTrusted,
    "best-value": BestValue,
    "loyal": Loyal,
    "explorer": "buyer_agents.picking:Explorer",
    "haggler": "buyer_agents.haggling:Haggler",
    "first-proposal": "buyer_agents.picking:FirstProposal",
    "satisficer": "buyer_agents.picking:Satisficer",
    "delegating": "buyer_agents.checking:Delegating",
    "outside": "buyer_agents.outside:Outside",
}
"""The built-in policies by the name that scenarios use, or where they are loaded from."""

ADVERSARIES: Final = {
    "sybil-reviewer": "buyer_agents.adversaries:SybilReviewer",
    "wash-trader": "buyer_agents.adversaries:WashTrader",
    "bad-mouther": "buyer_agents.adversaries:BadMouther",
}
"""Policies of buyers who mean harm, by name: they are loaded where a story asks for them."""


class UnknownPolicy(ValueError):
    """No policy has that name; the message lists those there are."""


def policy_named(name: str, **params: Any) -> Policy:
    """Return the policy called ``name``, made with ``params``.

    ``chance`` (a ``random.Random``) and ``agent`` (the buyer's name) may be among them whatever
    the policy: it gets them if it asks for them.

    Raises:
        UnknownPolicy: there is none of that name, or it is no policy.
        BadParams: it takes no such params.
    """
    handed = {each: params.pop(each) for each in making.HANDED if each in params}
    return policy_of(name, params, handed)


def policy_of(name: str, params: Mapping[str, Any], handed: Mapping[str, Any]) -> Policy:
    """Return the policy called ``name``, made with ``params`` as a file gives them.

    ``handed`` are the ``HANDED`` that it gets if it asks for them; a file cannot give those.

    Raises:
        UnknownPolicy: there is none of that name, or it is no policy.
        BadParams: it takes no such params.
    """
    try:
        cls = making.class_named(name, {**POLICIES, **ADVERSARIES}, "policy")
    except making.UnknownClass as error:
        raise UnknownPolicy(str(error)) from error
    making.is_honest(cls)
    policy = making.made(cls, name, params, handed)
    if not isinstance(policy, Policy):
        raise UnknownPolicy(f"{name} is no policy: it needs the methods rank, trusts and judge")
    return policy
