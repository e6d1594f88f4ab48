"""Bad input is answered with a 4xx that names the field; never with a 500."""

import asyncio
from typing import Any

import httpx
import pytest

from market.base.errors import MarketError, every_refusal
from market.faces.http import limits
from market.faces.http.problems import problem_answer, problem_tree
from tests.contract.agents import Agent, nonce
from tests.contract.conftest import Market, Street
from tests.contract.test_refusals import refused

AN_ORDER = "ord_01h455vb4pex5vsknk084sn02q"
A_SESSION = "ses_01h455vb4pex5vsknk084sn02q"
DEEP = b'{"need":' + b"[" * 30_000 + b"]" * 30_000 + b"}"


@pytest.fixture(scope="module")
async def buyer(shared: Market) -> Agent:
    return await shared.enter("thrifty", "buyer")


@pytest.fixture(scope="module")
async def overseer(shared: Market) -> Agent:
    return await shared.overseer()


async def send(agent: Agent, path: str, content: bytes, **headers: str) -> httpx.Response:
    sent = {**agent.bearer, "content-type": "application/json", "idempotency-key": nonce()}
    return await agent.http.post(path, content=content, headers={**sent, **headers})


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"nonsense", b"\xff\xfe", b'{"need": "\x00"}', b'{"need": "x"} trailing',
        b'{"need": "\\ud800"}', b'{"need": "\xed\xa0\x80"}', b'{"need": NaN}', DEEP,
    ],
    ids=lambda content: repr(content[:24]),
)  # fmt: skip
async def test_a_body_that_is_no_json_is_malformed(buyer: Agent, content: bytes):
    answer = await send(buyer, "/v1/sessions", content)

    problem = answer.json()
    assert answer.status_code in (400, 422), answer.text
    assert problem["type"] in ("/problems/malformed", "/problems/invalid_body")


@pytest.mark.parametrize(
    ("path", "content", "field"),
    [
        ("/v1/sessions", b"{}", "need"),
        ("/v1/sessions", b"[]", ""),
        ("/v1/sessions", b"null", ""),
        ("/v1/sessions", b'{"need": 5}', "need"),
        ("/v1/sessions", b'{"need": ""}', "need"),
        ("/v1/sessions", b'{"need": "x", "surprise": 1}', "surprise"),
        ("/v1/sessions", b'{"need": "nul \\u0000"}', "need"),
        ("/v1/sessions", b'{"need": "hidden \\u202e"}', "need"),
        ("/v1/sessions", b'{"need": "x", "labels": {"Bad Key": "x"}}', "labels"),
        ("/v1/sessions", b'{"need": "x", "labels": {"key": 1}}', "labels[...]"),
        ("/v1/recommendations", b'{"commitment": 5}', "commitment"),
        (f"/v1/orders/{AN_ORDER}/chunks", b'{"index": -1, "units": 0, "output": {}}', "index"),
        (f"/v1/orders/{AN_ORDER}/chunks", b'{"index": 0, "units": 1.5, "output": {}}', "units"),
        (f"/v1/orders/{AN_ORDER}/chunks", b'{"index": "0", "units": 1, "output": {}}', "index"),
        (f"/v1/orders/{AN_ORDER}/chunks", b'{"index": true, "units": 1, "output": {}}', "index"),
        (f"/v1/orders/{AN_ORDER}/chunks", b'{"index": 0, "units": 1e300, "output": {}}', "units"),
        ("/v1/inbox/acknowledge", b'{"offset": 99999999999999999999999999}', "offset"),
        ("/v1/quotes", b'{"service_id": "svc_x", "input": {}}', "service_id"),
        (
            f"/v1/sessions/{A_SESSION}/events",
            b'{"events": [{"kind": "note.written", "body": {}}, {"kind": "note.written"}]}',
            "events[1].body",
        ),
    ],
)
async def test_a_body_of_another_form_is_refused_by_field(
    buyer: Agent, path: str, content: bytes, field: str
):
    answer = await send(buyer, path, content)

    problem = refused(answer, 422, "invalid_body")
    [error] = problem["errors"]
    assert error["field"].rstrip(".") == field
    assert error["detail"]


AMOUNTS = ["-1", "0", "-0", "1.0", "1e2", '"1"', "true", "null", "9007199254740992", "1" + "0" * 30]


@pytest.mark.parametrize("amount", AMOUNTS)
async def test_an_amount_is_a_whole_number_above_zero(overseer: Agent, amount: str):
    body = f'{{"agent_id": "{overseer.id}", "amount_minor": {amount}, "currency": "XTS"}}'

    answer = await send(overseer, "/v1/faucet", body.encode())

    problem = refused(answer, 422, "invalid_body")
    assert problem["errors"][0]["field"] == "amount_minor"


@pytest.mark.parametrize(
    "value",
    ['"nul \\u0000"', "9007199254740993", "1" + "0" * 40, "[" * 40 + "]" * 40, '{"\\u0000": 1}'],
)
async def test_free_json_that_no_two_parsers_agree_on_is_refused(street: Street, value: str):
    order = await street.placed()
    note = {"kind": "note.written", "body": {"text": "VALUE"}}
    requests: list[tuple[Agent, str, Any]] = [
        (
            street.buyer,
            "/v1/quotes",
            {"service_id": street.service["id"], "input": {"pages": "VALUE"}},
        ),
        (street.buyer, f"/v1/sessions/{order['session_id']}/events", {"events": [note]}),
        (
            street.seller,
            f"/v1/orders/{order['id']}/chunks",
            {"index": 0, "units": 1, "output": {"rows": "VALUE"}},
        ),
    ]

    for agent, path, body in requests:
        content = str(body).replace("'VALUE'", value).replace("'", '"').encode()
        answer = await send(agent, path, content)
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    answer = await street.buyer.http.put(
        "/v1/memory/notes/key",
        content=f'{{"value": {{"v": {value}}}}}'.encode(),
        headers={**street.buyer.bearer, "content-type": "application/json"},
    )
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/services?color=red", "color"),
        ("/v1/services?max_price_minor=-1", "max_price_minor"),
        ("/v1/services?max_price_minor=1.5", "max_price_minor"),
        ("/v1/services?min_trust=nan", "min_trust"),
        ("/v1/services?min_trust=2", "min_trust"),
        ("/v1/services?limit=0", "limit"),
        ("/v1/services?limit=101", "limit"),
        ("/v1/services?limit=1000000000", "limit"),
        ("/v1/services?limit=ten", "limit"),
        ("/v1/services?q=%00", "q"),
        ("/v1/services?q=" + "x" * 201, "q"),
        ("/v1/services?session_id=ses_x", "session_id"),
        ("/v1/services?max_price_minor=null", "max_price_minor"),
        ("/v1/orders?state=flying", "state"),
        ("/v1/sessions?state=flying", "state"),
        ("/v1/me?verbose=1", "verbose"),
        (f"/v1/sessions/{A_SESSION}/events?after=-2", "after"),
        (f"/v1/sessions/{A_SESSION}/events?after=x", "after"),
        (f"/v1/sessions/{A_SESSION}/events?after=1180591620717411303424", "after"),
        (f"/v1/sessions/{A_SESSION}/events?wait_seconds=31", "wait_seconds"),
        (f"/v1/sessions/{A_SESSION}/stream?after=", "after"),
        ("/v1/inbox?after=zero", "after"),
        ("/v1/agents?handle=No%20Slug", "handle"),
        ("/v1/agents", "handle"),
    ],
)
async def test_a_parameter_that_is_unknown_or_malformed_is_named(
    buyer: Agent, path: str, field: str
):
    problem = refused(await buyer.get(path), 400, "invalid_parameter")

    assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "query", ["limit=1&limit=2", "q=%ff", "q=%ed%a0%80", "&".join(["a=1"] * 50), "q=" + "x" * 5_000]
)
async def test_a_query_that_cannot_be_read_is_refused(buyer: Agent, query: str):
    refused(await buyer.get(f"/v1/services?{query}"), 400, "invalid_parameter")


@pytest.mark.parametrize("cursor", ["x", "bm9uc2Vuc2U", "WzFd", "%00", "e30", "W251bGxd"])
async def test_a_cursor_of_ones_own_making_is_refused(buyer: Agent, cursor: str):
    for path in ("/v1/services", "/v1/orders", "/v1/sessions", "/v1/wallet/statement"):
        answer = await buyer.get(f"{path}?cursor={cursor}")
        assert answer.status_code in (400, 422), (path, answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/orders/1", "/v1/orders/ord_ZZ", "/v1/orders/..%2f..%2fetc", "/v1/orders/%00",
        "/v1/sessions/ses_x/events", "/v1/agents/short", "/v1/receipts/rcp_", "/v1/services/'--",
        "/v1/orders/ord_01h455vb4pex5vsknk084sn02q%0a", "/v1/nothing", "/V1/me", "/v1",
        "/problems/unheard-of", "/schemas/unheard-of.json",
    ],
)  # fmt: skip
async def test_what_cannot_be_an_address_is_not_there(buyer: Agent, path: str):
    refused(await buyer.get(path), 404, "not_found")


@pytest.mark.parametrize("name", ["Last-Event-ID", "Producer-Seq"])
async def test_a_malformed_header_is_named(buyer: Agent, name: str):
    session = await buyer.made("/v1/sessions", {"need": "tables"})
    path = f"/v1/sessions/{session['id']}"

    if name == "Last-Event-ID":
        answer = await buyer.http.get(f"{path}/stream", headers={**buyer.bearer, name: "x"})
    else:
        event = {"events": [{"kind": "note.written", "body": {}}]}
        answer = await buyer.post(f"{path}/events", event, producer_seq="-1")

    problem = refused(answer, 400, "invalid_parameter")
    assert problem["errors"][0]["field"] == name


async def test_producer_headers_come_together_or_not_at_all(buyer: Agent):
    session = await buyer.made("/v1/sessions", {"need": "tables"})
    path = f"/v1/sessions/{session['id']}/events"
    event = {"events": [{"kind": "note.written", "body": {"text": "once"}}]}
    producer = {"producer_id": "shopper-1", "producer_epoch": "0", "producer_seq": "0"}

    alone = await buyer.post(path, event, producer_id="shopper-1")
    first = await buyer.post(path, event, **producer)
    again = await buyer.post(path, event, **producer)

    refused(alone, 422, "bad_producer")
    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
    assert first.json()["next_offset"] == again.json()["next_offset"]


async def test_a_method_that_a_path_does_not_know(buyer: Agent):
    answer = await buyer.http.delete("/v1/sessions", headers=buyer.bearer)

    problem = refused(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]
    assert "POST" in problem["allow"]


async def test_a_body_of_another_media_type(buyer: Agent):
    answer = await send(buyer, "/v1/sessions", b"need=x", **{"content-type": "text/plain"})

    assert refused(answer, 415, "unsupported_media_type")["media"] == "application/json"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_not_read(served: Market, announced: bool):
    buyer = await served.enter("thrifty", "buyer")
    content = b'{"need": "' + b"x" * 10_000_000 + b'"}'

    async def parts() -> Any:
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    headers = {**buyer.bearer, "content-type": "application/json", "idempotency-key": nonce()}
    answer = await buyer.http.post(
        "/v1/sessions", content=content if announced else parts(), headers=headers
    )

    problem = refused(answer, 413, "content_too_large")
    assert problem["limit_bytes"] == limits.BODY
    assert (await buyer.get("/v1/me")).status_code == 200


async def test_a_body_that_does_not_come_is_not_waited_for(
    served: Market, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.2)
    buyer = await served.enter("thrifty", "buyer")
    reader, writer = await asyncio.open_connection("127.0.0.1", served.settings.port)

    bearer = f"authorization: Bearer {buyer.token}\r\n"
    head = f"POST /v1/sessions HTTP/1.1\r\nhost: localhost\r\n{bearer}"
    writer.write(f"{head}content-length: 100\r\n\r\n{{".encode())
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"\r\n\r\n")

    assert b" 408 " in answer.partition(b"\r\n")[0]
    writer.close()


async def test_too_many_headers(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    headers = {**buyer.bearer, **{f"x-filler-{number}": "x" for number in range(150)}}

    answer = await buyer.http.get("/v1/me", headers=headers)

    assert answer.status_code in (400, 431)
    assert (await buyer.get("/v1/me")).status_code == 200


async def test_headers_that_are_too_long(served: Market):
    buyer = await served.enter("thrifty", "buyer")

    try:
        answer = await buyer.http.get(
            "/v1/me", headers={**buyer.bearer, "x-filler": "x" * 1_000_000}
        )
    except httpx.TransportError:
        pass  # Closed without a word while we still wrote.
    else:
        assert answer.status_code in (400, 431)
    assert (await buyer.get("/v1/me")).status_code == 200


@pytest.mark.parametrize("accept", ["", ";;;", "x", "text/html;q=2", "*/*;q=x", "\t,,"])
async def test_an_odd_accept_header_gets_the_default(shared: Market, accept: str):
    answer = await shared.http.get("/agents", headers={"accept": accept})

    assert answer.status_code == 200


async def test_an_idempotency_key_is_asked_for_where_money_moves(buyer: Agent):
    headers = {**buyer.bearer, "content-type": "application/json"}

    for key in ("", "x" * 65, "sp ace", "ümlaut".encode("latin-1")):
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        raw = key if isinstance(key, bytes) else key.encode()
        sent += [(b"idempotency-key", raw)] if raw else []
        answer = await buyer.http.post("/v1/sessions", content=b'{"need": "x"}', headers=sent)
        problem = refused(answer, 400, "idempotency_key_missing")
        assert problem["header"] == "Idempotency-Key"


async def test_a_repeat_under_one_key_has_one_effect_and_one_answer(street: Street):
    quote = await street.buyer.quote(street.service["id"])
    body = street.buyer.order(quote)

    first = await street.buyer.post("/v1/orders", body, key="once-and-only")
    again = await street.buyer.post("/v1/orders", body, key="once-and-only")
    other = await street.buyer.post(
        "/v1/orders", street.buyer.order(quote, iat=street.buyer.now - 1), key="once-and-only"
    )

    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    refused(other, 422, "idempotency_key_reused")


async def test_a_repeat_of_a_refused_request_is_refused_alike(street: Street):
    quote = await street.buyer.quote(street.service["id"])
    body = street.buyer.order(quote, amount_minor=1)

    first = await street.buyer.post("/v1/orders", body, key="wrong-amount")
    again = await street.buyer.post("/v1/orders", body, key="wrong-amount")

    refused(first, 422, "quote_mismatch")
    assert {**first.json(), "instance": ""} == {**again.json(), "instance": ""}


@pytest.mark.parametrize("kind", list(every_refusal()), ids=lambda kind: kind.code)
def test_every_refusal_becomes_a_whole_problem(kind: type[MarketError]):
    refusal = kind("Something about this case.", amount_minor=5, allow=["GET"])

    problem = problem_tree(refusal, "req_1")
    answer = problem_answer(refusal, request_id="req_1", issuer="http://market.test")

    assert 400 <= kind.status <= 503
    assert kind.code.replace("_", "").isalnum()
    assert kind.code == kind.code.lower()
    assert problem == {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": "Something about this case.",
        "instance": "req_1",
        "amount_minor": 5,
        "allow": ["GET"],
    }
    assert answer.status_code == kind.status


async def test_a_bug_is_a_500_without_detail(buyer: Agent, monkeypatch: pytest.MonkeyPatch):

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a secret of the implementation")

    monkeypatch.setattr("market.ledger.wallet", broken)
    answer = await buyer.get("/v1/wallet")

    problem = refused(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert set(problem) == {"type", "title", "status", "detail", "instance"}
