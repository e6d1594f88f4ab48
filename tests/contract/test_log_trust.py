"""Trust in a log: checkpoints, a copy that proves itself, receipts held against it."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from click.testing import CliRunner, Result

from buyer_agents import MarketClient
from market.cli.tree import ROOT
from market.faces.http.limits import CHECKPOINTS_PER_MINUTE
from market.protocol.commitments import CHECKPOINT, RECEIPT, CheckpointClaims, ReceiptClaims
from market.protocol.logfile import checkpoint_in
from market.protocol.proving import Anchor, LogProof
from market.protocol.signing import SigningKey
from tests.contract.agents import Agent
from tests.contract.conftest import Market, Street


@pytest.fixture
async def client_of(market: Market) -> AsyncIterator[Callable[[Agent], MarketClient]]:
    """Make the client library's form of an agent that has entered."""
    made: list[MarketClient] = []

    def client_of(agent: Agent) -> MarketClient:
        client = MarketClient(
            market.settings.issuer,
            agent.key,
            http=lambda url: httpx.AsyncClient(
                transport=httpx.ASGITransport(market.app), base_url=url
            ),
            now=lambda: market.clock.now().timestamp(),
        )
        made.append(client)
        return client

    yield client_of
    for client in made:
        await client.aclose()


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """The command line, on files."""

    def run(*args: object) -> Result:
        return CliRunner().invoke(ROOT, [str(arg) for arg in args], prog_name="market")

    yield run
    structlog.reset_defaults()


async def kept(client: MarketClient, session_id: str) -> list[bytes]:
    return [line async for line in client.kept_log(session_id)]


async def test_everyone_in_a_session_gets_its_checkpoints_and_a_stranger_nothing(street: Street):
    order = await street.settled()
    path = f"/v1/sessions/{order['session_id']}"
    await street.buyer.post(f"{path}/close", {"reason": "done"})

    for agent in (street.buyer, street.seller):
        page = (await agent.get(f"{path}/checkpoints")).json()
        [signed] = page["items"]
        head = (await agent.get(f"{path}/checkpoint")).json()
        assert head == signed
        assert page["next"] is None
    claims = street.market.store.signer.public.read(
        signed["token"], typ=CHECKPOINT, claims=CheckpointClaims
    )
    assert (claims.offset, claims.hash) == (signed["offset"], signed["hash"])
    for last in ("checkpoints", "checkpoint"):
        refused = await street.other.get(f"{path}/{last}")
        assert (refused.status_code, refused.json()["type"][-17:]) == (404, "session_not_found")


async def test_a_head_is_signed_so_often_a_minute_and_then_refused(street: Street):
    order = await street.placed()
    path = f"/v1/sessions/{order['session_id']}/checkpoint"
    for _ in range(CHECKPOINTS_PER_MINUTE):
        assert (await street.buyer.get(path)).status_code == 200

    refused = await street.buyer.get(path)

    assert (refused.status_code, refused.json()["limit"]) == (429, CHECKPOINTS_PER_MINUTE)
    assert refused.json()["type"].endswith("/too_often")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert (await street.seller.get(path)).status_code == 200
    street.market.clock.advance(timedelta(seconds=60))
    assert (await street.buyer.get(path)).status_code == 200


async def test_a_kept_log_proves_itself_for_buyer_and_seller(street: Street, client_of: Any):
    order = await street.settled()
    key = street.market.store.signer.public

    ends = set()
    for agent in (street.buyer, street.seller):
        lines = await kept(client_of(agent), order["session_id"])
        tokens = [token for line in lines if (token := checkpoint_in(line))]
        [claims] = [key.read(one, typ=CHECKPOINT, claims=CheckpointClaims) for one in tokens]
        anchor = Anchor(claims.offset, claims.hash)
        proof = LogProof(order["session_id"], wanted=[anchor.offset])
        for line in lines[: -len(tokens)]:
            proof.take_bytes(line.rstrip())
        report = proof.report([anchor])
        assert report.flaws == []
        assert report.vouched_to == report.next_offset - 1 == len(lines) - 2
        ends.add(anchor)
    assert len(ends) == 1
    assert report.withheld == 1


class Kept:
    """A log and a receipt in files, as their owner kept them."""

    def __init__(self, folder: Path, market: Market, lines: list[bytes], receipt: str) -> None:
        self.lines = [line.rstrip() for line in lines]
        self.log = folder / "log.jsonl"
        self.receipt = folder / "receipt.jws"
        self.receipt.write_text(receipt)
        self.signer = market.store.signer
        (folder / "keys.json").write_bytes(msgspec.json.encode({"keys": [self.signer.public.jwk]}))
        self.write(self.lines)

    def write(self, lines: list[bytes]) -> Path:
        self.log.write_bytes(b"\n".join(lines) + b"\n")
        return self.log

    @property
    def claims(self) -> ReceiptClaims:
        return self.signer.public.read(self.receipt.read_text(), typ=RECEIPT, claims=ReceiptClaims)


@pytest.fixture
async def files(street: Street, client_of: Any, tmp_path: Path) -> Kept:
    order = await street.settled()
    lines = await kept(client_of(street.buyer), order["session_id"])
    path = f"/v1/receipts/{order['receipt_id']}"
    receipt = (await street.buyer.get(path)).json()["receipt"]
    return Kept(tmp_path, street.market, lines, receipt)


def error_of(result: Result) -> dict[str, Any]:
    return json.loads(result.stderr)["error"]


async def test_a_kept_log_passes_offline(files: Kept, run: Any):
    result = run("audit", "log", "--file", files.log)

    assert result.exit_code == 0, result.output
    last = len(files.lines) - 2
    assert f"✓ #0 to #{last} hold together; the market vouches up to #{last}" in result.stdout


TAMPERINGS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a changed byte": lambda log: [
        *log[:3],
        log[3].replace(b'"offset":3', b'"offset":9'),
        *log[4:],
    ],
    "a dropped event": lambda log: [*log[:3], *log[4:]],
    "two exchanged": lambda log: [*log[:3], log[5], log[4], log[3], *log[6:]],
    "something else": lambda log: [*log[:3], b"garbage", *log[4:]],
    "a doubled event": lambda log: [*log[:3], log[2], *log[3:]],
    "a cut tail": lambda log: [*log[:3], log[-1]],
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_a_tampered_file_is_refused_with_its_first_bad_offset(
    files: Kept, run: Any, tampering: str
):
    files.write(TAMPERINGS[tampering](files.lines))

    result = run("audit", "log", "--file", files.log, "--json")

    assert result.exit_code == 5
    assert error_of(result)["code"] == "log_altered"
    assert "the first bad offset is 3:" in error_of(result)["detail"]
    assert json.loads(result.stdout)["report"]["flaws"][0]["offset"] == 3


async def test_a_checkpoint_of_another_key_is_refused_and_one_that_was_kept_finds_a_cut(
    files: Kept, run: Any, tmp_path: Path
):
    token = checkpoint_in(files.lines[-1])
    assert token is not None
    claims = files.signer.public.read(token, typ=CHECKPOINT, claims=CheckpointClaims)
    forged = SigningKey.generate().sign(claims, typ=CHECKPOINT)
    files.write([*files.lines[:-1], json.dumps({"checkpoint": forged}).encode()])

    result = run("audit", "log", "--file", files.log, "--json")
    assert result.exit_code == 5
    assert "another key" in error_of(result)["detail"]

    mine = tmp_path / "mine.jws"
    mine.write_text(token)
    files.write(files.lines[:4])
    alone = run("audit", "log", "--file", files.log)
    assert alone.exit_code == 0
    assert "! no checkpoint vouches for it" in alone.stdout
    against = run("audit", "log", "--file", files.log, "--checkpoint", mine)
    assert against.exit_code == 5
    assert "the first bad offset is 4" in against.stderr


async def test_what_is_no_log_is_a_usage_error(files: Kept, run: Any):
    files.write([b"hello", b"{}"])
    for args in (["--file", files.log], ["--file", files.log, "--store", "."], []):
        assert run("audit", "log", *args).exit_code == 2
    assert run("audit", "log", "--file", "nowhere.jsonl").exit_code == 2


@pytest.mark.parametrize("text", [b"hello\n", b"one.two.three\n", b"{}\n", b""])
async def test_what_keeps_no_checkpoint_is_a_usage_error(
    files: Kept, run: Any, tmp_path: Path, text: bytes
):
    other = tmp_path / "other"
    other.write_bytes(text)

    result = run("audit", "log", "--file", files.log, "--checkpoint", other)

    assert result.exit_code == 2
    assert f"{other} keeps no checkpoint" in result.stderr


async def test_a_log_of_another_session_is_a_usage_error_to_a_receipt(files: Kept, run: Any):
    session_id = files.claims.session_id
    other = session_id[:-1] + ("1" if session_id.endswith("0") else "0")
    for lines in (
        [b"hello"],
        [one.replace(session_id.encode(), other.encode()) for one in files.lines],
    ):
        files.write(lines)

        result = run("verify", files.receipt, "--log", files.log)

        assert result.exit_code == 2
        assert (
            f"{files.log} has no event of {session_id};"
            f" get it with: market session events {session_id} --out {files.log}"
        ) in result.stderr


async def test_without_the_markets_key_a_checkpoint_is_said_to_be_unchecked(
    files: Kept, run: Any, tmp_path: Path
):
    (tmp_path / "keys.json").unlink()

    result = run("audit", "log", "--file", files.log)

    assert result.exit_code == 0
    assert "! 1 checkpoints were not checked" in result.stdout


async def test_a_receipt_follows_from_the_log_that_was_kept(files: Kept, run: Any):
    result = run("verify", files.receipt, "--log", files.log)

    assert result.exit_code == 0, result.output
    first, last = files.claims.first_offset, files.claims.last_offset
    assert f"#{first} to #{last} of {files.claims.session_id} hash to what it states" in (
        result.stdout
    )
    assert "its amounts, units and digest follow from those events" in result.stdout


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_a_receipt_is_not_proven_by_a_tampered_range(files: Kept, run: Any, tampering: str):
    files.write(TAMPERINGS[tampering](files.lines))

    result = run("verify", files.receipt, "--log", files.log, "--json")

    assert result.exit_code == 5
    assert error_of(result)["code"] == "receipt_unproven"
    assert "offset 3: " in error_of(result)["detail"]


async def test_events_beside_the_range_do_not_matter_to_a_receipt(files: Kept, run: Any):
    claims = files.claims
    within = files.lines[claims.first_offset : claims.last_offset + 2]
    other = files.lines[0].replace(claims.session_id.encode(), b"ses_of_somebody_else")
    files.write([b"not read", other, *within])

    assert run("verify", files.receipt, "--log", files.log).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"captured_minor": 399_999, "returned_minor": 1}, "captured_minor"),
        ({"units": 3}, "units"),
        ({"delivery_digest": "A" * 43}, "delivery_digest"),
        ({"held_minor": 400_001}, "what was captured and returned"),
        ({"currency": "EUR"}, "currency"),
        ({"outcome": "failed"}, "outcome"),
    ],
)
async def test_a_receipt_that_says_other_than_the_log_is_not_proven(
    files: Kept, run: Any, changes: dict[str, Any], what: str
):
    wrong = msgspec.structs.replace(files.claims, **changes)
    files.receipt.write_text(files.signer.sign(wrong, typ=RECEIPT))

    result = run("verify", files.receipt, "--log", files.log)

    assert result.exit_code == 5
    assert what in result.stderr


async def test_refusals_and_refunds_have_receipts_that_the_log_proves(
    street: Street, client_of: Any, run: Any, tmp_path: Path
):
    order = await street.placed()
    await street.seller.deliver(order["id"], 0, units=1)
    path = f"/v1/sessions/{order['session_id']}"
    await street.buyer.made(f"{path}/controls", {"action": "cancel", "order_id": order["id"]})
    after = (await street.buyer.get(f"/v1/orders/{order['id']}")).json()
    lines = await kept(client_of(street.seller), order["session_id"])
    got = await street.seller.get(f"/v1/receipts/{after['receipt_id']}")
    files = Kept(tmp_path, street.market, lines, got.json()["receipt"])

    assert files.claims.outcome == "cancelled"
    result = run("verify", files.receipt, "--log", files.log)
    assert result.exit_code == 0, result.output
