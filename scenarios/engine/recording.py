"""Asking an open market for all that a run's result needs: logs, wallets, receipts, keys."""

from collections.abc import Iterable
from functools import reduce
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from buyer_agents import MarketClient
from market.protocol.chain import read_entry
from market.protocol.events import Event
from market.protocol.folded import Folded
from market.protocol.folding import fold
from market.protocol.manifest import check_manifest
from scenarios.engine.agents import SellersClient
from scenarios.engine.casting import Cast
from scenarios.engine.director import Director
from scenarios.engine.facts import (
    Balance,
    Facts,
    JourneyFacts,
    Standing,
    WatcherFacts,
    journey_of,
)
from scenarios.engine.seeds import key_of
from scenarios.engine.watchers import Watcher


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
    watchers = [
        await _watched(watcher, overseer)
        for watcher in director.watchers.values()
        if watcher.session_id
    ]
    facts = Facts(
        currency=currency,
        names=cast.names,
        journeys=journeys,
        wallets=await _wallets(cast, currency),
        minted_minor=cast.minted_minor,
        sellers={client.agent_id: await _standing(client) for client in cast.sellers.values()},
        read={session: read for view in views for session, read in view.read.items()},
        cuts=sum(view.cuts for view in views) + sum(one.cuts for one in watchers),
        resumes=sum(view.resumes for view in views) + sum(one.resumes for one in watchers),
        faults=director.happened,
        watchers=watchers,
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


async def _watched(watcher: Watcher, overseer: MarketClient) -> WatcherFacts:
    """Hold what a device got against the log as it stands, byte for byte."""
    snapshot, session_id = watcher.snapshot, watcher.session_id
    first = 0 if snapshot is None else snapshot.next_offset
    log: list[bytes] = []
    while page := await overseer.raw_events(session_id, after=len(log) - 1):
        log += page
    got = [seen.data for seen in watcher.seen]
    # Of a log that goes on it may have less; what it has must be the same.
    expected = log[first:] if watcher.is_over else log[first : first + len(got)]
    differences = sum(one != other for one, other in zip_longest(got, expected))
    if snapshot is not None:
        differences += _folded(log[:first]) != _plain(snapshot)
    return WatcherFacts(
        name=watcher.part.name,
        who=watcher.who,
        buyer=watcher.part.at.agent,
        session_id=session_id,
        over=watcher.part.over,
        first=first,
        offsets=[seen.offset for seen in watcher.seen],
        differences=differences,
        cuts=watcher.cuts,
        resumes=watcher.resumes,
    )


def _folded(log: Iterable[bytes]) -> dict[str, Any]:
    """Return what entries come to, as plain data."""
    entries = (read_entry(msgspec.json.decode(entry)) for entry in log)
    return _plain(reduce(fold, entries, Folded()))


def _plain(folded: Folded) -> dict[str, Any]:
    tree: dict[str, Any] = msgspec.to_builtins(folded, str_keys=True)
    return {name: value for name, value in tree.items() if name != "session"}


async def _wallets(cast: Cast, currency: str) -> dict[str, Balance]:
    balances = {}
    for client in cast.wallets.values():
        for balance in (await client.wallet()).balances:
            if balance.currency == currency:
                balances[client.agent_id] = Balance(balance.available_minor, balance.held_minor)
    return balances


async def _standing(client: SellersClient) -> Standing:
    report = await client.trust(client.service_id)
    limits = await client.bond()
    forfeited_minor, after = 0, -1
    while messages := (await client.inbox(after=after)).items:
        after = messages[-1].offset
        forfeited_minor += sum(
            message.body["amount_minor"] for message in messages if message.kind == "bond.forfeited"
        )
    manifest = check_manifest((await client.service(client.service_id)).manifest)
    return Standing(
        trust=report.score,
        flags=report.flags,
        bond_minor=limits.bond_minor,
        forfeited_minor=forfeited_minor,
        price_minor=manifest.compared_minor(),
        price_changes=report.price_changes,
    )


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
