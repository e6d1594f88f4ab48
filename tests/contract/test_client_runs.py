"""Runs over a bad network: what is sent again lands once, and what was lost is not mistaken."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from buyer_agents import MarketClient, MarketUnreachable, Refused, SubAgent, begin_run
from market.protocol.signing import SigningKey
from tests.contract.conftest import Market
from tests.contract.test_client_calls import BadNetwork


@pytest.fixture
def network(market: Market) -> BadNetwork:
    return BadNetwork(httpx.ASGITransport(market.app))


@pytest.fixture
async def buyer(market: Market) -> AsyncIterator[MarketClient]:
    async with MarketClient(
        market.settings.issuer,
        SigningKey.generate(),
        http=lambda url: httpx.AsyncClient(transport=httpx.ASGITransport(market.app), base_url=url),
        now=lambda: market.clock.now().timestamp(),
    ) as client:
        await client.register("thrifty", "buyer")
        yield client


@pytest.fixture
async def session_id(buyer: MarketClient) -> str:
    return (await buyer.open_session("read a catalog")).id


@pytest.fixture
async def agent(
    market: Market, network: BadNetwork, buyer: MarketClient, session_id: str
) -> AsyncIterator[SubAgent]:
    """A sub-agent with little patience, on the bad network."""
    key = SigningKey.generate()
    delegation = await buyer.delegate(session_id, key.public.jwk)
    async with SubAgent(
        buyer.url,
        key,
        delegation,
        http=lambda url: httpx.AsyncClient(transport=network, base_url=url),
        now=buyer.now,
        patience_seconds=0.5,
    ) as client:
        yield client


async def told(buyer: MarketClient, session_id: str) -> list[tuple[Any, ...]]:
    entries = (await buyer.events(session_id)).items
    events = [event for event in entries if event.kind.startswith("run.")]
    return [(event.kind, event.body.get("step"), event.body.get("attempt")) for event in events]


async def test_a_step_whose_answer_was_lost_lands_once(
    buyer: MarketClient, agent: SubAgent, network: BadNetwork, session_id: str
) -> None:
    path = f"/v1/sessions/{session_id}/events"
    network.lose = [path, path]
    run = await agent.run("left", "Read the left catalog")
    network.lose = [path]
    await run.step("page-0")
    await run.step("page-1")

    assert await told(buyer, session_id) == [
        ("run.started", None, None), ("run.step", "page-0", 1), ("run.step", "page-1", 1),
    ]  # fmt: skip


async def test_what_follows_a_step_that_was_given_up_is_no_repeat_of_it(
    buyer: MarketClient, agent: SubAgent, network: BadNetwork, session_id: str
) -> None:
    run = await agent.run("left", "Read the left catalog")
    await run.step("page-0")
    network.lose = [f"/v1/sessions/{session_id}/events"] * 100
    with pytest.raises(MarketUnreachable):
        await run.step("page-1")
    network.lose = []

    await run.step("page-2")
    await run.step("page-1")

    assert (await told(buyer, session_id))[1:] == [
        ("run.step", "page-0", 1),
        ("run.step", "page-1", 1),
        ("run.step", "page-2", 1),
        ("run.step", "page-1", 2),
    ]


async def test_a_refused_step_leaves_the_next_one_in_order(
    buyer: MarketClient, agent: SubAgent, session_id: str
) -> None:
    run = await agent.run("left", "Read the left catalog")
    with pytest.raises(Refused) as refused:
        await run.step("two words")

    await run.step("one-word")

    assert refused.value.code == "bad_event"
    assert (await told(buyer, session_id))[1:] == [("run.step", "one-word", 1)]


async def test_a_name_that_another_actor_has_is_refused(
    buyer: MarketClient, agent: SubAgent, session_id: str
) -> None:
    await agent.run("left", "Read the left catalog")

    with pytest.raises(Refused) as refused:
        await begin_run(buyer, session_id, "left", "Read it oneself")

    assert refused.value.code == "run_taken"


async def test_a_token_whose_answer_was_lost_is_asked_for_with_a_new_assertion(
    agent: SubAgent, network: BadNetwork
) -> None:
    network.lose = ["/oauth/token"]

    assert (await agent.session(agent.session_id)).need == "read a catalog"
    assert network.count("POST /oauth/token") == 2
