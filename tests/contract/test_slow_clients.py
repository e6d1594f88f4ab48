"""Clients that are slow, on real servers: headers, idle connections, bodies; others are served."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from market.base.settings import Settings
from market.faces.http import limits
from tests.contract.conftest import Market, serving

LIMIT_SECONDS = 15.0
SOON_SECONDS = 6.0


@pytest.fixture(params=["granian", "uvicorn"])
async def hurried(
    request: pytest.FixtureRequest, sandbox: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Market]:
    """A market that waits for nobody longer than a second."""
    for name in ("HEADER_SECONDS", "IDLE_SECONDS", "BODY_SECONDS"):
        monkeypatch.setattr(limits, name, 1)
    async with serving(sandbox, request.param) as market:
        yield market


async def until_closed(market: Market, first: bytes, drip: bytes = b"") -> float:
    """Send, then a byte now and then; return after how many seconds the server hangs up."""
    began = time.monotonic()
    async with asyncio.timeout(LIMIT_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", market.settings.port)
        writer.write(first)

        async def go_on() -> None:
            while drip:
                await asyncio.sleep(0.1)
                writer.write(drip)

        dripping = asyncio.create_task(go_on())
        with suppress(OSError):
            while await reader.read(65_536):
                pass
        dripping.cancel()
        writer.close()
    return time.monotonic() - began


@pytest.mark.parametrize("drip", [b"", b"x"])
async def test_headers_that_do_not_end_are_not_waited_for(hurried: Market, drip: bytes):
    """D2: slow loris; neither silence nor a byte now and then keeps a connection."""
    head = b"GET /agents HTTP/1.1\r\nhost: localhost\r\nx-slow: "

    assert await until_closed(hurried, head, drip) < SOON_SECONDS
    assert (await hurried.http.get("/agents")).status_code == 200


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"])
async def test_a_connection_on_which_nothing_is_asked_is_closed(hurried: Market, first: bytes):
    """D2: before the first request, and after one."""
    assert await until_closed(hurried, first) < SOON_SECONDS


async def test_a_body_that_drips_is_refused_in_time_and_holds_nothing(hurried: Market):
    """D2: 408, and what was held of it is given back."""
    head = b"POST /oauth/token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n"
    kind = b"content-type: application/x-www-form-urlencoded\r\n\r\n"

    assert await until_closed(hurried, head + kind + b"a" * 1_000, b"a") < SOON_SECONDS
    assert hurried.app.state.desk.held.total == 0


async def test_bodies_under_way_are_bounded_together(
    hurried: Market, monkeypatch: pytest.MonkeyPatch
):
    """D2: many that send little each are refused when they hold too much together."""
    monkeypatch.setattr(limits, "BODY_SECONDS", 5)
    monkeypatch.setattr(limits, "HELD", 5_000)
    head = b"POST /oauth/token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n"
    kind = b"content-type: application/x-www-form-urlencoded\r\n\r\n"
    held = hurried.app.state.desk.held
    _, writer = await asyncio.open_connection("127.0.0.1", hurried.settings.port)
    writer.write(head + kind + b"a" * 4_000)
    async with asyncio.timeout(LIMIT_SECONDS):
        while held.total < 4_000:  # noqa: ASYNC110 - the server runs in this loop
            await asyncio.sleep(0.01)

    answer = await hurried.http.post("/oauth/token", data={"grant_type": "x" * 2_000})

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    writer.close()
    async with asyncio.timeout(LIMIT_SECONDS):
        while held.total:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
