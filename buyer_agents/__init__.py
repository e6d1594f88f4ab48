"""Buyers, and the client library that every agent uses.

``MarketClient`` speaks the market's HTTP contract for one key. ``follow_session`` and its likes
read a log live and resume by themselves. A ``Shopper`` walks a buying journey for a ``Need`` by a
``Policy``; what comes of it is a ``Journey``::

    async with MarketClient("http://127.0.0.1:8700", SigningKey.generate()) as market:
        await market.register("thrifty-1", "buyer")
        shopper = Shopper(market, policy_named("best-value"))
        journey = await shopper.run(Need(query="profile csv columns", input={"csv": text}))

A ``SubAgent`` works in one session, by a delegation that ``MarketClient.delegate`` makes for its
key; a ``Run`` is work that is reported step by step. A ``Presence`` shows others that one is there.
"""

from buyer_agents.client import MarketClient, every
from buyer_agents.connection import open_http
from buyer_agents.delegating import SubAgent, read_delegation
from buyer_agents.errors import BadAnswer, MarketTrouble, MarketUnreachable, NotAMarket, Refused
from buyer_agents.feeding import Followed, follow_feed
from buyer_agents.journey import Journey
from buyer_agents.making import BadParams
from buyer_agents.needs import Candidate, Experience, Memory, Need, Ranked
from buyer_agents.policies import POLICIES, UnknownPolicy, policy_named
from buyer_agents.presence import Presence
from buyer_agents.runs import Run, RunStopped, Steer, begin_run
from buyer_agents.session_verbs import Entries, Producer
from buyer_agents.shopper import Shopper
from buyer_agents.streams import follow_inbox, follow_session, follow_snapshot, follow_socket
from buyer_agents.weighing import Judgement, Judging, NoChoice, Policy, Weighing

__all__ = [
    "POLICIES",
    "BadAnswer",
    "BadParams",
    "Candidate",
    "Entries",
    "Experience",
    "Followed",
    "Journey",
    "Judgement",
    "Judging",
    "MarketClient",
    "MarketTrouble",
    "MarketUnreachable",
    "Memory",
    "Need",
    "NoChoice",
    "NotAMarket",
    "Policy",
    "Presence",
    "Producer",
    "Ranked",
    "Refused",
    "Run",
    "RunStopped",
    "Shopper",
    "Steer",
    "SubAgent",
    "UnknownPolicy",
    "Weighing",
    "begin_run",
    "every",
    "follow_feed",
    "follow_inbox",
    "follow_session",
    "follow_snapshot",
    "follow_socket",
    "open_http",
    "policy_named",
    "read_delegation",
]
