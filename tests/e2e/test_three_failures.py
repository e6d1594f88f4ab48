"""The three failures of streaming that cannot happen here, each as a test of its name."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from buyer_agents import MarketClient, follow_session, follow_socket
from market.base.settings import Settings
from market.protocol.chain import Entry
from market.protocol.events import Event
from market.protocol.signing import SigningKey
from tests.e2e.proofs import assert_whole, log_of
from tests.faults import faults
from tests.processes import MarketProcess, Process
from tests.town import Tickets, Town, of_kind, open_town, reader, until

HERE = Path(__file__).parent
LIMIT_SECONDS = 60.0
STEPS = 20
RUNS = ("read", "check")


async def take(log: AsyncGenerator[Entry, None], count: int) -> list[Entry]:
    """The next entries of a log."""
    return [await anext(log) for _ in range(count)]


async def device_of(town: Town, key: SigningKey, url: str | None = None) -> MarketClient:
    return await town.client("thrifty", key=key, url=url)


async def test_no_connection_owns_a_stream(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town, faults(town.url) as network:
        tickets, key = Tickets(2), SigningKey.generate()
        service = await town.open(town.seller(reader(tickets)), url=network.url)
        phone, watch = await device_of(town, key, network.url), await town.overseer()
        order = await town.order(phone, service)
        async with aclosing(follow_session(phone, order.session_id)) as log:
            begun = await take(log, 3)

        # The connections that began it all are gone: the reader's, and the worker's as well.
        await network.cut()
        tickets.give(4)

        tablet = await device_of(town, key)
        async with (
            aclosing(follow_socket(tablet, order.session_id, begun[-1].offset)) as rest,
            aclosing(follow_session(watch, order.session_id)) as whole,
        ):
            seen_by_another = begun + await take(rest, 6)
            assert seen_by_another == await take(whole, 9)
        await until(tablet, order.session_id, of_kind("delivery.completed"))
        settled = await tablet.accept(order.id)
        assert (settled.state, settled.units_delivered) == ("settled", 6)


async def test_a_disconnect_is_never_a_cancel(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town, faults(town.url) as network:
        tickets, key = Tickets(1), SigningKey.generate()
        service = await town.open(town.seller(reader(tickets)))
        buyer = await device_of(town, key, network.url)

        # It disconnects ten times, at last for good, and the work goes on and is complete.
        left = await town.order(buyer, service)
        for _ in range(10):
            async with aclosing(follow_session(buyer, left.session_id)) as log:
                await anext(log)
                await network.cut()
        await buyer.aclose()
        tickets.give(5)
        again = await device_of(town, key)
        events = await until(again, left.session_id, of_kind("delivery.completed"))
        assert not [event for event in events if event.kind.startswith("control.")]
        assert (await again.order(left.id)).state == "delivered"

        # It cancels without a stream; to come back to the stream afterwards undoes nothing.
        stopped = await town.order(again, service)
        tickets.give(2)
        await until(again, stopped.session_id, of_kind("delivery.chunk"), count=2)
        await again.control(stopped.session_id, "cancel", reason="enough")
        tickets.give(4)
        back = await device_of(town, key)
        events = await until(back, stopped.session_id, of_kind("order.cancelled"))
        ended = await back.order(stopped.id)
        assert (ended.state, ended.chunks_delivered) == ("cancelled", 2)
        log = await log_of(back, stopped.session_id)
        assert [event.kind for event in log].count("delivery.chunk") == 2
        assert log[: len(events)] == events


async def test_no_orchestrator_relays_its_sub_agents(market_process: MarketProcess, tmp_path: Path):
    key = SigningKey.generate()
    key.save(tmp_path / "buyer.key")
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        MarketClient(market_process.url, key) as buyer,
    ):
        await buyer.register("thrifty", "buyer")
        session_id = (await buyer.open_session("two things at once")).id
        command = [sys.executable, "-m", "tests.e2e.orchestrator", str(tmp_path / "buyer.key")]
        command += [market_process.url, session_id, str(STEPS), "0.02"]
        progress: dict[str, list[str]] = {run: [] for run in RUNS}
        ended: set[str] = set()
        with Process(command, log=tmp_path / "orchestrator.log") as orchestrator:
            async with aclosing(follow_session(buyer, session_id)) as log:
                async for entry in log:
                    if isinstance(entry, Event) and entry.kind == "run.step":
                        progress[entry.body["run"]].append(entry.body["step"])
                    if isinstance(entry, Event) and entry.kind == "run.ended":
                        ended.add(entry.body["run"])
                    if all(progress.values()) and orchestrator.running.poll() is None:
                        orchestrator.kill()
                        told_by_then = {run: len(steps) for run, steps in progress.items()}
                    if len(ended) == len(RUNS):
                        break

        # It died in the middle of both, and both told all they did.
        assert all(1 <= told_by_then[run] < STEPS for run in RUNS), told_by_then
        assert all(progress[run] == [f"step-{number}" for number in range(STEPS)] for run in RUNS)
    assert_whole(market_process)
