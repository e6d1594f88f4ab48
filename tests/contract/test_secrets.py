"""Canaries: what lets somebody in never shows in logs, problems, events, pages or exports."""

import io
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
import structlog

from market.app import configure_logging
from market.protocol.commitments import ACCESS_TOKEN
from market.protocol.secrets import REDACTED, in_log, may_hold_secret, without_secrets
from market.protocol.signing import SigningKey
from tests.contract.agents import Agent
from tests.contract.conftest import Market, Street, open_market, open_street
from tests.contract.test_access import add_key

CANARY = "canary-3f9c2a"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that the operators' log says, down to the debug level."""
    written = io.StringIO()
    with redirect_stderr(written):
        configure_logging("debug")
        yield written
    structlog.reset_defaults()


@pytest.fixture
async def logged(sandbox: Any, log: io.StringIO) -> AsyncIterator[Market]:
    async with open_market(sandbox) as market:
        yield market


def parts(token: str) -> set[str]:
    """What of a signed text must not be seen: the whole, and its signature."""
    return {token, token.rpartition(".")[2]}


async def test_no_request_good_or_bad_puts_a_secret_into_log_or_problem(
    logged: Market, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
):
    """L14, C5: tokens, assertions, proofs, keys, headers, addresses; also where a bug is hit."""
    street = await open_street(logged)
    buyer, http = street.buyer, logged.http
    assertion, registration = buyer.assertion(), buyer.registration("other", "buyer")
    private = SigningKey.generate()
    secrets = {CANARY, private.to_jwk()["d"], *parts(buyer.token), *parts(assertion)}
    secrets |= parts(registration)
    answers = [
        await buyer.ask_token(assertion),
        await buyer.ask_token(assertion),
        await buyer.ask_token(f"{assertion[:-9]}{CANARY}"),
        await http.post("/v1/agents", json={"proof": registration}),
        await http.post("/v1/agents", json={"proof": f"{registration}{CANARY}"}),
        await add_key(buyer, private),
        await http.get("/v1/me", headers={"authorization": f"Basic {CANARY}"}),
        await http.get("/v1/me", headers={"authorization": f"Bearer {CANARY}"}),
        await http.get(f"/v1/me?access_token={CANARY}", headers=buyer.bearer),
        await http.get(f"/v1/nowhere?token={CANARY}", headers={"cookie": CANARY}),
        await http.get("/v1/stream/x", headers={"authorization": f"Bearer {CANARY}"}),
        await http.get(f"/v1/stream/x?token={CANARY}", headers={"host": f"{CANARY}.test"}),
        await buyer.post("/v1/orders", {"quote_id": "x", "commitment": f"{CANARY}.a.b"}),
        await buyer.post("/v1/sessions", {"need": "x", f"{CANARY}": 1}, key="a" * 65),
    ]

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError(f"Authorization: Bearer {buyer.token} {private.to_jwk()}")

    for verb, ask in (
        ("market.ledger.wallet", lambda: buyer.get("/v1/wallet")),
        ("market.identity.read_assertion", lambda: buyer.ask_token(buyer.assertion())),
        ("market.rawstreams.create", lambda: put_stream(buyer)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(verb, broken)
            answer = await ask()
        assert answer.status_code == 500, answer.text
        answers.append(answer)

    said = log.getvalue()
    assert said.count("request.failed") == 3
    assert all(json.loads(line) for line in said.splitlines())
    shown = "".join(answer.text for answer in answers if not answer.is_success)
    # What a body was called by its sender, its sender is told: a name is no secret.
    assert not [secret for secret in secrets if secret in said]
    assert not [secret for secret in secrets - {CANARY} if secret in shown]


async def put_stream(agent: Agent) -> Any:
    headers = {**agent.bearer, "content-type": "text/plain"}
    return await agent.http.put("/v1/stream/new", headers=headers)


async def test_what_lets_in_is_not_written_into_a_log_that_others_read(
    street: Street, tmp_path: Path
):
    """L14: redacted at write, by what it is; what is merely signed stays."""
    buyer, key = street.buyer, SigningKey.generate()
    order = await street.placed()
    session = order["session_id"]
    proof = buyer.order(await buyer.quote(street.service["id"]))["commitment"]
    body = {
        "text": f"use {buyer.token} or {buyer.assertion()}, and see {proof}",
        "keys": [key.to_jwk(), key.public.jwk],
    }

    event = {"events": [{"kind": "note.written", "body": body}]}
    await buyer.made(f"/v1/sessions/{session}/events", event)

    whole = (await buyer.get(f"/v1/sessions/{session}/events")).text
    assert buyer.token not in whole
    assert key.to_jwk()["d"] not in whole
    assert proof in whole
    assert whole.count(REDACTED) == 3
    assert whole.count(key.public.jwk["x"]) == 2
    file = (street.market.settings.home / "market.db").read_bytes()
    wal = (street.market.settings.home / "market.db-wal").read_bytes()
    assert buyer.token.encode() not in file + wal


@pytest.mark.parametrize(
    "text",
    [
        "Bearer abc.def", "authorization: bearer   s3cr3t", "DPoP eyJabc", "Basic dXNlcjpwYXNz",
        '{"kty":"OKP","d":"nWGxne"}', "{'kty': 'OKP', 'd': 'nWGxne'}",
        "sub_01h455vb4pex5vsknk084sn02q.12.c2VjcmV0",
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2ln", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4",
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2ln~WyJzYWx0IiwiYSJd~",
    ],
)  # fmt: skip
def test_a_secret_in_a_line_of_the_log_is_taken_out(text: str):
    said = in_log(f"it failed: {text} at 12:00")

    assert REDACTED in said
    assert said.startswith("it failed: ")
    for secret in ("s3cr3t", "nWGxne", "c2VjcmV0", "c2ln", "dXNlcjpwYXNz", "WyJzYWx0"):
        assert secret not in said


@pytest.mark.parametrize(
    "text", ["request.refused", "/v1/orders/ord_01h455vb4pex5vsknk084sn02q", "1.2.3", "d: 5"]
)
def test_plain_words_stay_as_they_are(text: str):
    assert in_log(text) == text


def test_json_without_secrets_is_the_same():
    tree = {"d": "delta", "kty": 5, "list": ["eyJ", {"kty": "OKP", "x": "public"}], "n": None}

    assert without_secrets(tree) == tree
    assert not may_hold_secret(b'{"d":"delta"}')


def test_a_token_is_taken_out_of_the_word_that_it_stands_in():
    """L14: also behind a word without a gap, and before what looks like a disclosure."""
    key = SigningKey.generate()
    token = key.sign({"sub": "x"}, typ=ACCESS_TOKEN)
    proof = key.sign({"sub": "x"}, typ="order+jwt")

    assert without_secrets(f"a.token_{token}~b.c d") == f"a.token_{REDACTED} d"
    assert without_secrets(f"{proof} {token}.") == f"{proof} {REDACTED}."
    assert token not in in_log(f"token_{token}~b.c")


def test_words_that_only_begin_like_tokens_cost_no_more_than_their_length():
    """D4: a megabyte of them took the writer, or a request's log line, minutes."""
    texts = ("eyJ" * 300_000, "eyJabcdefghijk." * 60_000, "a" * 900_000, "Bearer " * 120_000)
    began = time.perf_counter()

    for text in texts:
        in_log(text)
        assert without_secrets(text) == text

    assert time.perf_counter() - began < 10
