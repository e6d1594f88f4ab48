"""Asking a policy: every answer is held against what a policy may answer.

One that is of another form raises ``WrongReturn``, which says whose it is and what is expected.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar, cast, get_args

from buyer_agents.needs import Candidate, Memory, Need, Offer, Outputs, Ranked
from buyer_agents.returning import WrongReturn
from buyer_agents.weighing import (
    PARTS,
    Answer,
    Bargaining,
    Checking,
    Judgement,
    PerJourney,
    Policy,
    Sequential,
    are_parts,
)
from market.protocol.commitments import Verdict
from market.protocol.signing import SigningKey
from market.protocol.wire import TrustView

Choice = TypeVar("Choice")
Listed = TypeVar("Listed", bound=Candidate)

_JUDGEMENT = 'a Judgement("good" or "bad", comment)'


async def ranked_by(
    policy: Policy, candidates: Sequence[Candidate], need: Need, memory: Memory
) -> list[Ranked]:
    """Return the candidates that a policy would have, best first.

    Raises:
        WrongReturn: its ``rank`` returned something else.
    """
    ranked: Any = await _decided(policy.rank(candidates, need, memory))
    if not isinstance(ranked, list | tuple) or not all(isinstance(one, Ranked) for one in ranked):
        raise WrongReturn(policy.rank, ranked, "a list of Ranked, best first")
    given = {one.service_id for one in candidates}
    for one in ranked:
        if not are_parts(one.parts):
            raise WrongReturn(policy.rank, one.parts, f"Ranked whose parts are {PARTS}")
        if one.candidate.service_id not in given:
            raise WrongReturn(policy.rank, one.candidate.slug, "none but the given candidates")
    return list(ranked)


async def trusted_by(policy: Policy, report: TrustView, need: Need) -> Answer:
    """Return whether a policy would buy from a seller.

    Raises:
        WrongReturn: its ``trusts`` returned something else.
    """
    answer = await _decided(policy.trusts(report, need))
    if not _is_one_of(answer, Answer):
        raise WrongReturn(policy.trusts, answer, '"allow", "ask" or "leave"')
    return cast("Answer", answer)


async def judged_by(policy: Policy, outputs: Outputs, need: Need) -> Judgement:
    """Return what a policy thinks of a delivery.

    Raises:
        WrongReturn: its ``judge`` returned something else.
    """
    judgement: Any = await _decided(policy.judge(outputs, need))
    if not (
        isinstance(judgement, Judgement)
        and _is_one_of(judgement.verdict, Verdict)
        and isinstance(judgement.comment, str)
    ):
        raise WrongReturn(policy.judge, judgement, _JUDGEMENT)
    return judgement


def is_enough_for(policy: Policy, offer: Offer, need: Need) -> bool:
    """Return whether a policy reads no more offers after this one; most read all.

    Raises:
        WrongReturn: its ``is_enough`` returned something else.
    """
    if not isinstance(policy, Sequential):
        return False
    is_enough = policy.is_enough(offer, need)
    if not isinstance(is_enough, bool):
        raise WrongReturn(policy.is_enough, is_enough, "True or False")
    return is_enough


def countered_by(
    policy: Bargaining, quoted_minor: int, best_minor: int, named: Sequence[int]
) -> int | None:
    """Return the price that a policy names next, or None.

    Raises:
        WrongReturn: its ``counter`` returned something else.
    """
    amount_minor = policy.counter(quoted_minor, best_minor, named)
    if amount_minor is not None and type(amount_minor) is not int:
        raise WrongReturn(policy.counter, amount_minor, "a whole number of minor units, or None")
    return amount_minor


def checkers_of(policy: Checking) -> list[SigningKey]:
    """Return the keys of a policy's sub-agents.

    Raises:
        WrongReturn: its ``checkers`` returned something else.
    """
    keys = policy.checkers()
    if not isinstance(keys, list | tuple) or not all(isinstance(key, SigningKey) for key in keys):
        raise WrongReturn(policy.checkers, keys, "a list of SigningKey")
    return list(keys)


def complaint_of(policy: Checking, index: int, output: Mapping[str, object], need: Need) -> str:
    """Return what a policy's sub-agent finds wrong with a chunk, or "".

    Raises:
        WrongReturn: its ``complaint`` returned something else.
    """
    complaint = policy.complaint(index, output, need)
    if not isinstance(complaint, str):
        raise WrongReturn(policy.complaint, complaint, 'a text, "" if nothing is wrong')
    return complaint


def policy_for_journey(policy: Policy) -> Policy:
    """Return the policy for one journey; most are their own.

    Raises:
        WrongReturn: its ``for_journey`` returned something else.
    """
    if not isinstance(policy, PerJourney):
        return policy
    one = policy.for_journey()
    if not isinstance(one, Policy):
        raise WrongReturn(policy.for_journey, one, "a policy")
    return one


async def _decided(choice: Choice | Awaitable[Choice]) -> Choice:
    """Return a policy's choice, waiting for it if it had to ask somebody."""
    return await choice if isinstance(choice, Awaitable) else choice


def _is_one_of(value: Any, words: Any) -> bool:
    return isinstance(value, str) and value in get_args(words)
