"""The commands against a market that is served: a human's hand in a live session."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio
import httpx
import pytest

from buyer_agents import MarketClient, Need, Shopper, policy_named
from market.cli.keyfile import load
from market.protocol.signing import SigningKey
from seller_services import Chunk, Order, Seller
from tests.processes import COMMAND, MarketProcess

LINES = ["one word", "and two more", "three", "four", "five"]
LIMIT_SECONDS = 30.0


class Shell:
    """Runs commands beside a served market, in a folder of its own."""

    def __init__(self, market: MarketProcess, folder: Path) -> None:
        self.folder = folder
        kept = {name: text for name, text in os.environ.items() if not name.startswith("MARKET_")}
        self.environ = {
            **kept,
            "MARKET_URL": market.url,
            "MARKET_HOME": str(market.home),
            "NO_COLOR": "1",
        }

    async def run(self, *args: str) -> CompletedProcess[bytes]:
        with anyio.fail_after(LIMIT_SECONDS):
            return await anyio.run_process(
                [COMMAND, *args], cwd=self.folder, env=self.environ, check=False
            )

    async def ok(self, *args: str) -> str:
        done = await self.run(*args)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout.decode()

    async def json(self, *args: str) -> Any:
        return json.loads(await self.ok(*args, "--json"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketProcess]:
    """One market for all: each test brings agents of its own."""
    home = tmp_path_factory.mktemp("market")
    with MarketProcess(home, signup_grant_minor=1_000_000) as process:
        yield process


@pytest.fixture
def shell(served: MarketProcess, tmp_path: Path) -> Shell:
    return Shell(served, tmp_path)


async def test_an_operator_holds_watches_and_ends_a_delivery(
    served: MarketProcess, shell: Shell
) -> None:
    await shell.ok("seller", "new", "counter")
    seller = Seller(
        shell.folder / "counter" / "manifest.toml", key=shell.folder / "counter" / "counter.key"
    )
    go_on = anyio.Event()

    @seller.handle
    async def count(order: Order) -> AsyncIterator[Chunk]:
        for number, line in enumerate(order.input["lines"]):
            if number == 2:
                await go_on.wait()
            yield Chunk({"line": number, "words": len(line.split())}, units=1)

    key = SigningKey.generate()
    async with (
        MarketClient(served.url, key) as buyer,
        anyio.create_task_group() as group,
    ):
        await group.start(seller.serve, served.url)
        await buyer.register("walker", "buyer")
        need = Need(query="count words", input={"lines": LINES})
        shopper = Shopper(buyer, policy_named("cheapest"))
        group.start_soon(shopper.run, need)
        session_id = await two_chunks_delivered(buyer)

        listed = await shell.json("session", "list")
        assert [one["id"] for one in listed["items"]] == [session_id]
        assert "accepted" in await shell.ok("session", "pause", session_id, "--reason", "look")
        shown = await shell.json("session", "show", session_id)
        assert shown["orders"][0]["is_paused"]
        await shell.ok("session", "resume", session_id)
        assert "nobody" in await shell.ok("session", "presence", session_id)
        await buyer.be_present(session_id, "idle", device="phone")
        [present] = await shell.json("session", "presence", session_id)
        assert (present["device"], present["status"]) == ("phone", "idle")
        assert "walker" in await shell.ok("session", "presence", session_id)
        held = await shell.ok("session", "pause", session_id, "--scope", "all")
        assert f"pause {session_id}: accepted" in held
        assert "by the overseer" in await shell.ok("session", "show", session_id)
        await shell.ok("session", "resume", session_id, "--scope", "all")

        watching = await anyio.open_process(
            [COMMAND, "watch", session_id], env=shell.environ, stdin=None
        )
        async with watching:
            sure = ("--yes", "--reason", "enough")
            cancelled = await shell.ok("session", "cancel", session_id, *sure)
            assert "2 of 5 units were delivered and are paid" in cancelled
            assert watching.stdout is not None
            with anyio.fail_after(LIMIT_SECONDS):
                told = b"".join([piece async for piece in watching.stdout]).decode()
                assert await watching.wait() == 0
        assert "walker needs: count words" in told
        assert "asked by operator: look" in told
        assert "enough: 0.002 XTS paid" in told
        again = await shell.run("session", "cancel", session_id, "--yes")
        assert again.returncode == 6
        group.cancel_scope.cancel()

    audit = await shell.json("audit", str(served.home))
    assert audit["findings"] == []
    assert audit["summary"]["orders"] == {"cancelled": 1}
    nowhere = "ses_01h455vb4pex5vsknk084sn02q"
    unknown = await shell.run("audit", "log", nowhere, "--store", str(served.home))
    assert unknown.returncode == 2
    await shell.ok("session", "events", session_id, "--out", "log.jsonl")
    for place in ((), ("--store", str(served.home)), ("--file", "log.jsonl")):
        proven = await shell.json("audit", "log", session_id, *place)
        assert (proven["report"]["flaws"], proven["bad_checkpoints"]) == ([], [])
    assert proven["report"]["vouched_to"] == proven["report"]["next_offset"] - 1
    assert unknown.stderr == f"market: there is no session {nowhere} in this store\n".encode()
    ledger = await shell.json("wallet", "ledger", "--key", "counter/counter.key")
    assert [one["amount_minor"] for one in ledger["items"]] == [1_970]


async def two_chunks_delivered(buyer: MarketClient) -> str:
    """Return the session in which the seller now waits."""
    with anyio.fail_after(LIMIT_SECONDS):
        while True:
            page = await buyer.orders(state="started", limit=1)
            if page.items and page.items[0].chunks_delivered == 2:
                return page.items[0].session_id
            await anyio.sleep(0.02)


async def test_keys_are_registered_rotated_and_revoked(shell: Shell) -> None:
    made = await shell.json("identity", "new", "me.key", "--handle", "roamer")
    first = load(shell.folder / "me.key")

    await shell.ok("wallet", "fund", "roamer", "2.50")
    wallet = await shell.json("wallet", "show", "--key", "me.key")
    assert wallet["balances"][0]["available_minor"] == 3_500_000

    nobody = await shell.run("wallet", "fund", "Nobody", "5")
    assert nobody.returncode == 2
    assert nobody.stderr == b"market: no agent is called 'Nobody'\n"
    hinted = await shell.run("identity", "show", "--key", "me.key")
    assert hinted.stderr.rstrip().endswith(b"market wallet show --key me.key")

    await shell.ok("identity", "rotate", "--key", "me.key", "--yes")

    second = load(shell.folder / "me.key")
    assert made["agent_id"] == first.agent_id == second.agent_id
    assert second.key.kid != first.key.kid
    shown = await shell.json("identity", "show", "--key", "me.key")
    assert {key["kid"]: key["revoked_at"] is None for key in shown["keys"]} == {
        first.key.kid: False,
        second.key.kid: True,
    }
    token = (await shell.ok("identity", "token", "--key", "me.key")).strip()
    bearer = {"authorization": f"Bearer {token}"}
    url = shell.environ["MARKET_URL"]
    async with httpx.AsyncClient(base_url=url, headers=bearer) as other_client:
        assert (await other_client.get("/v1/me")).json()["id"] == first.agent_id
    last = await shell.run("identity", "revoke", second.key.kid, "--key", "me.key", "--yes")
    assert last.returncode == 6
    stranger = await shell.run("identity", "new", "you.key", "--handle", "roamer")
    assert stranger.returncode == 6


async def test_a_seller_posts_a_bond_looks_at_it_and_takes_some_back(shell: Shell) -> None:
    await shell.ok("identity", "new", "acme.key", "--handle", "bonded", "--kind", "seller")
    poor = await shell.run("seller", "bond", "post", "1.20", "--key", "acme.key")
    assert poor.returncode == 6
    assert b"1.20 XTS are needed" in poor.stderr
    await shell.ok("wallet", "fund", "bonded", "2.00")

    posted = await shell.ok("seller", "bond", "post", "1.20", "--key", "acme.key")
    shown = await shell.json("seller", "bond", "show", "--key", "acme.key")
    released = await shell.json("seller", "bond", "release", "0.20", "--key", "acme.key")

    assert "✓ 1.20 XTS posted" in posted
    assert (shown["bond_minor"], shown["is_on_probation"]) == (1_200_000, False)
    assert released["bond_minor"] == 1_000_000
    wrong = await shell.run("seller", "bond", "post", "much", "--key", "acme.key")
    assert wrong.returncode == 2


async def test_an_agent_that_is_not_registered_is_told_what_to_do(shell: Shell) -> None:
    await shell.ok("identity", "new", "me.key")

    refused = await shell.run("wallet", "show", "--key", "me.key", "--json")

    assert refused.returncode == 3
    error = json.loads(refused.stderr)["error"]
    assert error["code"] == "invalid_client"
    assert "market identity new" in error["hint"]


async def test_a_written_seller_serves_as_it_is(shell: Shell) -> None:
    await shell.ok("seller", "new", "plain-counter")

    serving = await anyio.open_process(
        [COMMAND, "seller", "serve", "plain-counter"], cwd=shell.folder, env=shell.environ
    )
    async with serving:
        assert serving.stderr is not None
        told = b""
        with anyio.fail_after(LIMIT_SECONDS):
            while b"seller.serving" not in told:
                told += await serving.stderr.receive()
        serving.terminate()

    listed = await shell.json("seller", "register", "plain-counter")
    assert listed["slug"] == listed["seller_handle"] == "plain-counter"
