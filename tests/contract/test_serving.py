"""Starting and stopping a market as a process, with streams open."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from market.app import Seams, running
from market.base.clock import SystemClock
from market.base.database import StoreBusy
from market.base.settings import Settings
from market.faces.http.serve import CannotServe
from tests.contract.agents import Agent
from tests.contract.test_streams import frames, open_session, stream
from tests.processes import free_port

PROGRAM = """
import sys
from pathlib import Path
from market.app import run
from market.base.settings import Settings

home, port, server = sys.argv[1:]
settings = Settings(home=Path(home), port=int(port), server=server)
run(settings, ready=lambda: print("ready", flush=True))
"""


@pytest.fixture(params=["granian", "uvicorn"])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def process(settings: Settings, server: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A market in a process of its own, which answers."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        str(settings.home),
        str(settings.port),
        server,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await child.stdout.readline() == b"ready\n"
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_streams_where_they_can_be_resumed_and_then_the_process(
    sqlite_settings: Settings, server: str, number: signal.Signals
):
    settings = sqlite_settings.with_(port=free_port(), issuer="")
    async with (
        process(settings, server) as child,
        httpx.AsyncClient(base_url=settings.issuer) as http,
    ):
        buyer = await Agent(http, settings.issuer, SystemClock()).enter("thrifty", "buyer")
        session_id = await open_session(buyer)
        async with stream(buyer, f"/v1/sessions/{session_id}/stream") as response:
            following = asyncio.create_task(frames(response))
            child.send_signal(number)
            async with asyncio.timeout(4):
                found = await following
                code = await child.wait()
        assert child.stderr is not None
        log = await child.stderr.read()

    assert found[-1] == b'event: drain\ndata: {"next_offset":1}'
    assert code == 0
    assert b'"event": "server.started"' in log
    assert b'"event": "server.stopped"' in log
    assert b"Traceback" not in log


async def test_a_port_that_is_taken_is_not_shared(sqlite_settings: Settings, server: str):
    settings = sqlite_settings.with_(port=free_port(), issuer="", server=server)

    async with process(settings, "granian"):
        with pytest.raises(CannotServe, match="listened on"):
            async with running(settings.with_(home=settings.home / "other")):
                pass


async def test_a_local_socket_that_cannot_be_is_refused_and_not_waited_for(
    sqlite_settings: Settings,
):
    path = sqlite_settings.home / "nowhere" / "socket"

    with pytest.raises(CannotServe, match="listened on"):
        async with asyncio.timeout(10), running(sqlite_settings, seams=Seams(path=path)):
            pass


async def test_a_store_that_another_process_writes_is_not_opened(
    sqlite_settings: Settings, server: str
):
    settings = sqlite_settings.with_(port=free_port(), issuer="")

    async with process(settings, server):
        with pytest.raises(StoreBusy):
            async with running(settings.with_(port=free_port(), issuer="", server=server)):
                pass


async def test_two_markets_live_in_one_process(sqlite_settings: Settings, server: str):
    one = sqlite_settings.with_(port=free_port(), issuer="", server=server)
    two = one.with_(port=free_port(), issuer="", home=one.home / "two")

    async with running(one), running(two), httpx.AsyncClient() as http:
        answers = [await http.get(f"{each.issuer}/agents") for each in (one, two)]

    assert [answer.json()["issuer"] for answer in answers] == [one.issuer, two.issuer]
