"""The first three stages: find, evaluate, trust-check."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from buyer_agents.appraisal import Unfit, appraise
from buyer_agents.client import MarketClient
from buyer_agents.deciding import is_enough_for, ranked_by, trusted_by
from buyer_agents.haggling import haggle
from buyer_agents.journey import Diary, Left
from buyer_agents.needs import Candidate, Memory, Need, Offer, Ranked
from buyer_agents.weighing import Bargaining, Policy
from market.protocol.events import Reason
from market.protocol.signing import BadSignature
from market.protocol.wire import QuoteView, TrustView

LISTED: Final = 20
"""Search results that are looked at."""

AskHuman = Callable[[TrustView], Awaitable[bool]]
"""Asks a human whether to buy from a seller with this report."""


Choose = Callable[["Trip"], Awaitable["Chosen"]]
"""Walks the stages up to a choice."""


async def nobody(report: TrustView) -> bool:
    """The human who is not there: the answer is no."""
    return False


@dataclass(frozen=True, kw_only=True)
class Trip:
    """What the stages of one journey share.

    ``done`` are the kinds of events that stood in its log when it was begun, or taken up again;
    ``reviews`` says whether the buyer publishes what it thinks of a delivery.
    """

    market: MarketClient
    policy: Policy
    need: Need
    diary: Diary
    memory: Memory
    shortlist: int
    ask_human: AskHuman
    done: frozenset[str]
    reviews: bool


@dataclass(frozen=True)
class Chosen:
    """The offer that the buyer decided for, and how it was ranked."""

    offer: Offer
    ranked: Ranked


async def choose(trip: Trip) -> Chosen:
    """Walk the first three stages and return the offer to buy.

    Raises:
        Left: there is none.
    """
    return await check_trust(trip, await evaluate(trip, await find(trip)))


async def find(trip: Trip) -> list[Ranked]:
    """Search, and return the shortlist by what the listing tells.

    Raises:
        Left: nothing is listed for the need.
    """
    trip.diary.enter("finding")
    need = trip.need
    page = await trip.market.services(
        q=need.query, tag=need.tag, session_id=trip.diary.session_id, limit=LISTED
    )
    found = [item for item in page.items if item.currency == need.currency]
    if not found:
        raise Left("no_result", f"Nothing is listed for '{need.query}' in {need.currency}.")
    candidates = [Candidate(found=item, amount_minor=item.amount_minor) for item in found]
    ranked = await ranked_by(trip.policy, candidates, need, trip.memory)
    if not ranked:
        raise Left("no_result", f"None of {len(candidates)} listed is one to look at.")
    await trip.diary.advance(f"{_count(len(ranked), 'service', 'is', 'are')} listed.", ranked)
    return ranked[: trip.shortlist]


async def evaluate(trip: Trip, shortlist: list[Ranked]) -> list[Chosen]:
    """Read the manifests, get the price of the real workload, and rank what fits, best first.

    Raises:
        Left: nothing fits; the reason is that of the best-ranked service.
    """
    trip.diary.enter("evaluating")
    offers: dict[str, Offer] = {}
    unfit: list[tuple[Ranked, Unfit]] = []
    for ranked in shortlist:
        try:
            offer = await ask_offer(trip, ranked.candidate)
        except Unfit as misfit:
            unfit.append((_ruled_out(ranked, misfit, trip.need), misfit))
        else:
            offers[offer.service_id] = offer
            if is_enough_for(trip.policy, offer, trip.need):
                break
    order = await ranked_by(trip.policy, list(offers.values()), trip.need, trip.memory)
    limit_minor = trip.need.max_price_minor
    fit = [replace(ranked, limit_minor=limit_minor) for ranked in order]
    alternatives = [*fit, *[ranked for ranked, _ in unfit]]
    told = [f"{ranked.candidate.slug}: {why.reason}: {why}." for ranked, why in unfit]
    if not order:
        if not unfit:
            raise Left("other", f"None of {len(offers)} that fit is one to buy.")
        best, why = unfit[0]
        trip.diary.service_id = best.candidate.service_id
        raise Left(why.reason, " ".join(told), alternatives)
    trip.diary.service_id = order[0].candidate.service_id
    fitting = _count(len(order), "service", "fits", "fit")
    await trip.diary.advance(" ".join([f"{fitting}.", *told]), alternatives)
    return [Chosen(offers[ranked.candidate.service_id], ranked) for ranked in order]


async def ask_offer(trip: Trip, candidate: Candidate) -> Offer:
    """Return the candidate with its manifest and a quote, bargained over if the policy will.

    Raises:
        Unfit: the manifest does not fit the need, or the price is too high.
    """
    session_id, policy = trip.diary.session_id, trip.policy

    async def bargained(quote: QuoteView) -> QuoteView:
        if not isinstance(policy, Bargaining):
            return quote
        return await haggle(trip.market, policy, quote, session_id=session_id)

    return await appraise(
        trip.market, candidate, trip.need, session_id=session_id, bargained=bargained
    )


async def check_trust(trip: Trip, choices: list[Chosen]) -> Chosen:
    """Take the first offer whose seller is who it says it is, and is trusted enough.

    Raises:
        Left: there is none; the reason is that of the best-ranked offer.
    """
    trip.diary.enter("trust_checking")
    alternatives = [choice.ranked for choice in choices]
    doubts: list[tuple[Reason, str]] = []
    for place, choice in enumerate(choices):
        doubt = await _doubt(trip, choice.offer)
        if doubt is None:
            trip.diary.service_id = choice.offer.service_id
            trip.diary.seller_id = choice.offer.seller_id
            told = [f"{choice.offer.slug} is trusted.", *[detail for _, detail in doubts]]
            await trip.diary.advance(" ".join(told), alternatives)
            return choice
        doubts.append(doubt)
        alternatives[place] = replace(choice.ranked, reason=doubt[0])
    raise Left(doubts[0][0], " ".join(detail for _, detail in doubts), alternatives)


async def _doubt(trip: Trip, offer: Offer) -> tuple[Reason, str] | None:
    """Return why not to buy from this seller, or None."""
    report = await trip.market.trust(offer.service_id, session_id=trip.diary.session_id)
    try:
        await trip.market.read_manifest(offer.service)
    except BadSignature as error:
        return "identity", f"{offer.slug}: {error}."
    answer = await trusted_by(trip.policy, report, trip.need)
    if answer == "allow" or (answer == "ask" and await trip.ask_human(report)):
        return None
    reason: Reason = "sybil_risk" if "closed_ring" in report.flags else "reputation"
    flags = f" ({', '.join(report.flags)})" if report.flags else ""
    return reason, f"{offer.slug}: trust {report.score}{flags} is not enough."


def _ruled_out(ranked: Ranked, misfit: Unfit, need: Need) -> Ranked:
    """Return the same with why it is out, and with the price that was quoted, if it was."""
    limit_minor = need.max_price_minor if misfit.reason == "price" else None
    out = replace(ranked, reason=misfit.reason, limit_minor=limit_minor)
    if misfit.amount_minor is None:
        return out
    return replace(out, candidate=replace(out.candidate, amount_minor=misfit.amount_minor))


def _count(number: int, noun: str, verb: str, verbs: str) -> str:
    return f"{number} {noun} {verb}" if number == 1 else f"{number} {noun}s {verbs}"
