"""Shopping on in a fork: the history is kept, what follows is decided anew, by another policy.

What was found stays found. Prices and reports are asked for again, since quotes expire and trust
is today's. An order of the history is the source's; a replay orders for itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from buyer_agents.choosing import Chosen, Trip, check_trust, evaluate, find
from buyer_agents.client import MarketClient
from buyer_agents.deciding import ranked_by
from buyer_agents.journey import Left
from buyer_agents.needs import Candidate, Ranked
from buyer_agents.resuming import decisions_in, events_of, listed
from market.protocol.events import Event, Stage
from market.protocol.wire import Decision, SessionView

_CHOOSING: Final[tuple[Stage, ...]] = ("finding", "evaluating", "trust_checking")


class History(NamedTuple):
    """What a fork shares with its source: stages that were passed, and the services that were seen.

    ``services`` are those of the last listing, as its event tells of them.
    """

    passed: Mapping[Stage, Decision]
    services: Sequence[Mapping[str, Any]]


async def read_history(market: MarketClient, fork: SessionView) -> History:
    """Return what stands in a fork's log before it branched off."""
    shared = (fork.source_offset or 0) + 1
    events = [event for event in await events_of(market, fork.id) if event.offset < shared]
    own = [event for event in events if event.actor_id == market.agent_id]
    decisions = decisions_in(own)
    passed = {
        stage: decisions[stage]
        for stage in _CHOOSING
        if stage in decisions and decisions[stage].outcome == "advance"
    }
    return History(passed, _last_listing(own))


async def choose_again(trip: Trip, history: History) -> Chosen:
    """Choose by the trip's policy, from the stage at which the history ends.

    Raises:
        Left: nothing of what the history left open is good enough.
    """
    checked = history.passed.get("trust_checking")
    if checked is not None and checked.service_id is not None:
        [chosen] = await evaluate(trip, await _candidates(trip, history, [checked.service_id]))
        trip.diary.service_id = chosen.offer.service_id
        trip.diary.seller_id = chosen.offer.seller_id
        return chosen
    evaluated = history.passed.get("evaluating")
    if evaluated is not None:
        fitting = [one.service_id for one in evaluated.alternatives if one.reason is None]
        return await check_trust(
            trip, await evaluate(trip, await _candidates(trip, history, fitting))
        )
    return await check_trust(trip, await evaluate(trip, await _found(trip, history)))


async def _found(trip: Trip, history: History) -> list[Ranked]:
    """Return the shortlist of what was found before; search only if nothing was."""
    if not history.services:
        return await find(trip)
    trip.diary.enter("finding")
    seen = [str(service["service_id"]) for service in history.services]
    ranked = await _candidates(trip, history, seen)
    if not ranked:
        raise Left("no_result", f"Nothing was listed in {trip.need.currency}.")
    await trip.diary.advance(f"{len(ranked)} listed before the fork.", ranked)
    return ranked[: trip.shortlist]


async def _candidates(trip: Trip, history: History, service_ids: Sequence[str]) -> list[Ranked]:
    """Return these services by the trip's policy: as they were found, with today's trust."""
    seen = {service["service_id"]: service for service in history.services}
    candidates = []
    for service_id in service_ids:
        found = listed(await trip.market.service(service_id))
        report = await trip.market.trust(service_id)
        told = seen.get(service_id, {})
        found = msgspec.structs.replace(
            found,
            trust=report.score,
            **{name: told[name] for name in ("amount_minor", "score", "parts") if name in told},
        )
        if found.currency == trip.need.currency:
            candidates.append(Candidate(found=found, amount_minor=found.amount_minor))
    return await ranked_by(trip.policy, candidates, trip.need, trip.memory)


def _last_listing(events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
    listings = [event.body["services"] for event in events if event.kind == "finding.listed"]
    return listings[-1] if listings else ()
