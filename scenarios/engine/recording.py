"""Asking an open market for all that a run's result needs: logs, wallets, receipts, keys."""

from typing import Any, NamedTuple

from buyer_agents import MarketClient
from market.protocol.events import Event
from scenarios.engine.casting import Cast
from scenarios.engine.director import Director
from scenarios.engine.facts import Balance, Facts, JourneyFacts, journey_of
from scenarios.engine.seeds import key_of


class Record(NamedTuple):
    """What was seen of a run before its market closed: facts, receipts by id, public keys."""

    facts: Facts
    receipts: dict[str, str]
    keys: list[dict[str, Any]]


async def record_of(
    cast: Cast, director: Director, overseer: MarketClient, *, seed: int, currency: str
) -> Record:
    """Return the record of a run, with its journeys in the order of the cast."""
    journeys = await _journeys(director, overseer)
    places = {buyer.name: place for place, buyer in enumerate(cast.buyers)}
    journeys.sort(key=lambda journey: places[journey.buyer])
    views = director.views.values()
    facts = Facts(
        currency=currency,
        names=cast.names,
        journeys=journeys,
        wallets=await _wallets(cast, currency),
        minted_minor=cast.minted_minor,
        read={session: read for view in views for session, read in view.read.items()},
        cuts=sum(view.cuts for view in views),
        resumes=sum(view.resumes for view in views),
    )
    return Record(facts, await _receipts(cast, journeys), await _keys(cast, overseer, seed))


async def _journeys(director: Director, overseer: MarketClient) -> list[JourneyFacts]:
    """Return every journey with its whole log: what the director read, and what came since."""
    journeys = []
    for log in director.logs.values():
        events = list(log.events)
        while (page := await overseer.events(log.session_id, after=len(events) - 1)).items:
            events += [entry for entry in page.items if isinstance(entry, Event)]
        journeys.append(journey_of(log.buyer, log.session_id, events))
    return journeys


async def _wallets(cast: Cast, currency: str) -> dict[str, Balance]:
    balances = {}
    for client in cast.wallets.values():
        for balance in (await client.wallet()).balances:
            if balance.currency == currency:
                balances[client.agent_id] = Balance(balance.available_minor, balance.held_minor)
    return balances


async def _receipts(cast: Cast, journeys: list[JourneyFacts]) -> dict[str, str]:
    """Return the market's receipts, as their buyers hold them."""
    receipts = {}
    for journey in journeys:
        for order in journey.orders:
            for receipt_id in order.receipt_ids:
                view = await cast.wallets[journey.buyer].receipt(receipt_id)
                receipts[receipt_id] = view.receipt
    return receipts


async def _keys(cast: Cast, overseer: MarketClient, seed: int) -> list[dict[str, Any]]:
    """Return the public keys of the market and of everybody who may have signed something."""
    published = await overseer.published_keys("/.well-known/jwks.json")
    named = [("the market", key) for key in published.values()]
    named += [(name, key_of(seed, name).public) for name in cast.names.values()]
    return [{**key.jwk, "kid": key.kid, "name": name} for name, key in named]
