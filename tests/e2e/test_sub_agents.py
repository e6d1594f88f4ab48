"""Two sub-agents, a buyer and a human at work in one session, each over its own connection."""

from contextlib import AsyncExitStack, aclosing
from typing import Any

import anyio
import pytest

from buyer_agents import MarketClient, Refused, Run, RunStopped, SubAgent, begin_run, follow_session
from market.base.settings import Settings
from market.protocol.chain import Entry, verify_chain
from market.protocol.events import Event
from market.protocol.signing import SigningKey
from tests.town import Tickets, of_kind, open_town, until

PAGES = [f"page-{number}" for number in range(6)]


async def sub_agent(
    stack: AsyncExitStack, buyer: MarketClient, session_id: str, **limits: Any
) -> SubAgent:
    """A new key with its own connection, let in by the buyer."""
    key = SigningKey.generate()
    delegation = await buyer.delegate(session_id, key.public.jwk, **limits)
    return await stack.enter_async_context(SubAgent(buyer.url, key, delegation))


async def work(run: Run, tickets: Tickets) -> str:
    """Read every page, one for each ticket; return how it ended."""
    try:
        for page in PAGES:
            await tickets.take()
            await run.step(page, output={"words": len(page)})
    except RunStopped:
        await run.end("cancelled")
        return "cancelled"
    await run.end("done")
    return "done"


async def read(log: list[Entry], market: Any, session_id: str) -> None:
    """Follow a session to its end."""
    async with aclosing(follow_session(market, session_id)) as entries:
        async for entry in entries:
            log.append(entry)


async def test_two_sub_agents_and_the_buyer_work_in_parallel_and_nobody_relays(
    sqlite_settings: Settings,
):
    endings: dict[str, str] = {}
    logs: dict[str, list[Entry]] = {"buyer": [], "watch": [], "left": []}
    async with open_town(sqlite_settings) as town, AsyncExitStack() as stack:
        buyer, human = await town.client("thrifty"), await town.overseer()
        session_id = (await buyer.open_session("compare two catalogs")).id
        left = await sub_agent(stack, buyer, session_id)
        right = await sub_agent(stack, buyer, session_id, run="right")
        tickets = {"left": Tickets(), "right": Tickets()}

        async def at_work(agent: SubAgent, name: str) -> None:
            run = await agent.run(name, f"Read the {name} catalog", parent="compare")
            endings[name] = await work(run, tickets[name])

        async with anyio.create_task_group() as tasks:
            own = await begin_run(buyer, session_id, "compare", "Compare both catalogs")
            for name, market in (("buyer", buyer), ("watch", human), ("left", left)):
                tasks.start_soon(read, logs[name], market, session_id)
            tasks.start_soon(at_work, left, "left")
            tasks.start_soon(at_work, right, "right")
            await until(human, session_id, of_kind("run.started"), count=3)
            tickets["left"].give(2)
            tickets["right"].give(2)
            await until(human, session_id, of_kind("run.step"), count=4)
            [answered] = await human.control(session_id, "cancel", run="right")
            tickets["right"].give()
            tickets["left"].give(4)
            await until(human, session_id, of_kind("run.ended"), count=2)
            await own.step("sum", "only the left one was read to its end")
            await own.end("done")
            await buyer.close_session(session_id)

    events = [entry for entry in logs["buyer"] if isinstance(entry, Event)]
    assert endings == {"left": "done", "right": "cancelled"}
    assert logs["buyer"] == logs["watch"] == logs["left"]
    assert verify_chain(logs["buyer"]) == events[-1].hash
    assert answered.answer == "accepted"
    by_run = {"compare": buyer.agent_id, "left": left.agent_id, "right": right.agent_id}
    told = [event for event in events if event.kind.startswith("run.")]
    assert all(event.actor_id == by_run[event.body["run"]] for event in told)
    steps = [event for event in told if event.kind == "run.step" and event.body["run"] == "right"]
    assert [step.body["step"] for step in steps] == PAGES[:2]
    assert all(step.offset < answered.offset for step in steps)


async def test_a_later_life_goes_on_where_the_run_stopped(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town, AsyncExitStack() as stack:
        buyer = await town.client("thrifty")
        session_id = (await buyer.open_session("read a catalog")).id
        key = SigningKey.generate()
        delegation = await buyer.delegate(session_id, key.public.jwk)
        async with SubAgent(town.url, key, delegation) as first:
            run = await first.run("left", "Read the left catalog")
            await run.step("page-0")
            await run.step("page-1", "half of it, then it crashed")

        later = await stack.enter_async_context(SubAgent(town.url, key, delegation))
        run = await later.run("left", "Read the left catalog")
        await run.step("page-1", "all of it")
        await run.end("done")
        events = (await buyer.events(session_id)).items

    told = [(event.kind, event.body.get("step"), event.body.get("attempt")) for event in events]
    assert told[2:] == [
        ("run.started", None, None),
        ("run.step", "page-0", 1),
        ("run.step", "page-1", 1),
        ("run.step", "page-1", 2),
        ("run.ended", None, None),
    ]


async def test_a_paused_run_waits_and_a_steered_one_hears(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town, AsyncExitStack() as stack:
        buyer, human = await town.client("thrifty"), await town.overseer()
        session_id = (await buyer.open_session("read a catalog")).id
        agent = await sub_agent(stack, buyer, session_id)
        run = await agent.run("left", "Read the left catalog")
        heard: list[str] = []

        async def listen() -> None:
            async with aclosing(run.steers()) as steers:
                async for steer in steers:
                    heard.append(steer.text)
                    await run.answer(steer, "consumed", "first things first")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await human.control(session_id, "pause", run="left")
            tasks.start_soon(run.step, "page-0")
            await human.control(session_id, "steer", run="left", text="the last page first")
            await until(human, session_id, of_kind("control.answered", answer="consumed"))
            paused = (await buyer.events(session_id)).items
            await human.control(session_id, "resume", run="left")
            await until(human, session_id, of_kind("run.step"))
            await human.control(session_id, "cancel", run="left")
        with pytest.raises(RunStopped):
            await run.step("page-1")
        await run.end("cancelled")

    assert heard == ["the last page first"]
    assert "run.step" not in [event.kind for event in paused]


async def test_a_run_that_was_cancelled_before_it_began_does_not_begin(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town, AsyncExitStack() as stack:
        buyer = await town.client("thrifty")
        session_id = (await buyer.open_session("read a catalog")).id
        agent = await sub_agent(stack, buyer, session_id)
        [kept] = await buyer.control(session_id, "cancel", run="left")

        with pytest.raises(RunStopped) as stopped:
            await agent.run("left", "Read the left catalog")

    assert stopped.value.offset == kept.offset


async def test_a_sub_agent_whose_delegation_is_revoked_is_told_so(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        buyer = await town.client("thrifty")
        session_id = (await buyer.open_session("read a catalog")).id
        key = SigningKey.generate()
        delegation = await buyer.delegate(session_id, key.public.jwk)
        async with SubAgent(town.url, key, delegation) as agent:
            run = await agent.run("left", "Read the left catalog")
            await buyer.revoke_delegation(delegation, "done with it")

            with pytest.raises(Refused) as refused:
                await run.step("page-0")

    assert refused.value.code == "delegation_revoked"
