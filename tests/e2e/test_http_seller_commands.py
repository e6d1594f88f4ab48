"""The manual's endpoint, word for word: made into a seller, served and bought from by command."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from buyer_agents import MarketClient
from market.protocol.signing import SigningKey
from tests.processes import COMMAND, MarketProcess, free_port
from tests.town import of_kind, until

PAGE = Path(__file__).parents[2] / "docs" / "http_sellers.md"
LIMIT_SECONDS = 30.0
LINES = {"lines": ["to be or not to be", "that is"]}


@contextmanager
def process(*command: str, cwd: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, cwd=cwd, stderr=subprocess.PIPE) as started:
        try:
            yield started
        finally:
            started.terminate()
            started.communicate()


@pytest.fixture
def market(tmp_path: Path) -> Iterator[MarketProcess]:
    home = tmp_path / "market"
    home.mkdir()
    with MarketProcess(home, signup_grant_minor=10**7, loopback_endpoints="true") as process:
        yield process


async def test_the_manuals_endpoint_is_made_into_a_seller_and_sells(
    market: MarketProcess, tmp_path: Path
):
    port = free_port()
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "endpoint.py").write_text(program.replace("8900", str(port)), "utf-8")
    url = f"http://127.0.0.1:{port}/"
    made = await anyio.run_process(
        [COMMAND, "seller", "new", "word-count", "--endpoint", url], cwd=tmp_path
    )
    assert url in made.stdout.decode()
    assert not (tmp_path / "word-count" / "seller.py").exists()

    serve = [COMMAND, "seller", "serve", "word-count", "--loopback-endpoints"]
    with (
        anyio.fail_after(LIMIT_SECONDS),
        process(sys.executable, "endpoint.py", cwd=tmp_path),
        process(*serve, "--url", market.url, cwd=tmp_path) as seller,
    ):
        assert seller.stderr is not None
        # Its first words are that it serves.
        await anyio.to_thread.run_sync(seller.stderr.readline)
        async with MarketClient(market.url, SigningKey.generate()) as buyer:
            await buyer.register("thrifty", "buyer")
            service = (await buyer.services(q="count words")).items[0]
            order = await buyer.place_order(await buyer.ask_quote(service.service_id, LINES))
            events = await until(buyer, order.session_id, of_kind("delivery.completed"))

    chunks = [event.body["output"] for event in events if event.kind == "delivery.chunk"]
    assert chunks == [{"line": 0, "words": 6}, {"line": 1, "words": 2}]


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "http://work.example.com/", "word"])
async def test_a_seller_is_not_made_for_an_endpoint_that_is_never_called(tmp_path: Path, url: str):
    """S1, S4: told before a file is written."""
    said = await anyio.run_process(
        [COMMAND, "seller", "new", "inside", "--endpoint", url], cwd=tmp_path, check=False
    )

    assert said.returncode == 2
    assert b"--endpoint" in said.stderr
    assert not (tmp_path / "inside").exists()
