"""The published documents: true to what is served, complete, and readable by strangers."""

import re
from typing import Any

import jsonschema_rs
import pytest

from market.app import create_app
from market.base.errors import every_refusal
from market.base.settings import Settings
from market.faces import http
from market.protocol.signing import SigningKey
from tests.contract.conftest import Market, Street
from tests.factories import manifest


@pytest.fixture
async def document(market: Market) -> Any:
    return (await market.http.get("/openapi.json")).json()


async def test_the_entry_tells_how_to_start_in_json_and_in_markdown(street: Street):
    entry = (await street.market.http.get("/agents")).json()
    text = await street.market.http.get("/agents", headers={"accept": "text/markdown"})

    assert entry["issuer"] == street.market.settings.issuer
    assert [item["slug"] for item in entry["prices"]["listed"]] == ["acme-pdf"]
    assert {"method": "POST", "path": "/v1/orders"}.items() <= next(
        item for item in entry["endpoints"] if item["summary"].startswith("Accept a quote")
    ).items()
    assert text.headers["content-type"] == "text/markdown; charset=utf-8"
    for item in entry["endpoints"]:
        assert f"| {item['method']} | `{item['path']}` |" in text.text


async def test_every_link_of_the_entry_and_of_llms_txt_leads_somewhere(market: Market):
    entry = (await market.http.get("/agents")).json()
    links = re.findall(r"\((http[^)]*)\)", (await market.http.get("/llms.txt")).text)

    documents = entry["documents"]
    addresses = {
        *links, documents["openapi"], documents["llms"], documents["problems"],
        *documents["schemas"].values(), entry["access"]["metadata"],
    }  # fmt: skip

    for address in addresses:
        assert (await market.http.get(address)).status_code == 200, address


async def test_published_documents_may_be_cached_and_private_ones_may_not(market: Market):
    buyer = await market.enter("thrifty", "buyer")

    assert "public" in (await market.http.get("/openapi.json")).headers["cache-control"]
    assert (await buyer.get("/v1/wallet")).headers["cache-control"] == "no-store"
    assert (await buyer.get("/v1/nothing")).headers["cache-control"] == "no-store"


async def test_every_answer_carries_the_security_headers_and_a_request_id(market: Market):
    buyer = await market.enter("thrifty", "buyer")
    answers = [
        await market.http.get("/agents"),
        await buyer.get("/v1/me"),
        await market.http.get("/v1/me"),
        await market.http.get("/nowhere"),
        await market.http.post("/healthz"),
        await market.http.options("/v1/sessions"),
    ]

    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert re.fullmatch(r"req_[0-7][0-9a-z]{25}", answer.headers["x-request-id"])
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


async def test_the_document_lists_exactly_what_is_served(market: Market, document: Any):
    listed = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }

    assert listed == {(place.method, place.path) for place in http.published(market.app.routes)}
    assert len(listed) > 50


async def test_every_operation_has_a_name_a_summary_and_documented_refusals(document: Any):
    names = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            assert operation["summary"].endswith("."), path
            assert operation["tags"], path
            assert "503" in operation["responses"], path
            if operation["security"]:
                assert {"401", "403"} <= set(operation["responses"]), path

    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in names)
    assert len(set(names)) == len(names)


async def test_bodies_are_documented_as_strictly_as_they_are_read(document: Any):
    components = document["components"]["schemas"]

    for methods in document["paths"].values():
        for operation in methods.values():
            content = operation.get("requestBody", {}).get("content", {})
            for media, described in content.items():
                name = described["schema"]["$ref"].rpartition("/")[2]
                if media == "application/json":
                    assert components[name]["additionalProperties"] is False, name


async def test_schemas_hold_no_pattern_that_others_cannot_read(document: Any):
    text = str(document)

    assert "\\\\Z" not in text
    for schema in document["components"]["schemas"].values():
        components = {"components": document["components"], **schema}
        jsonschema_rs.validator_for(components)


async def test_answers_are_of_their_documented_form(street: Street, document: Any):
    order = await street.settled()
    page = (await street.buyer.get("/v1/orders")).json()

    for name, value in (("OrderView", order), ("Page_OrderView_", page)):
        schema = document["components"]["schemas"][name]
        checker = jsonschema_rs.validator_for({"components": document["components"], **schema})
        assert not [error.message for error in checker.iter_errors(value)]


@pytest.mark.parametrize("name", ["manifest", "event", "decision", "problem"])
async def test_schemas_are_published(market: Market, name: str):
    answer = await market.http.get(f"/schemas/{name}.json")

    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.json()["$id"] == f"{market.settings.issuer}/schemas/{name}.json"
    checker = jsonschema_rs.validator_for(answer.json())
    if name == "manifest":
        assert checker.is_valid(manifest())
        assert not checker.is_valid(manifest(price=1.5))


async def test_every_refusal_is_explained_under_its_type(market: Market):
    listed = (await market.http.get("/problems")).json()["items"]

    assert {problem["code"] for problem in listed} == {kind.code for kind in every_refusal()}
    for problem in listed:
        answer = await market.http.get(problem["type"])
        assert answer.json() == problem
        text = await market.http.get(problem["type"], headers={"accept": "text/markdown"})
        assert text.text.startswith(f"# {problem['title']}")


def test_every_refusal_has_a_code_of_its_own():
    kinds = list(every_refusal())

    assert len({kind.code for kind in kinds}) == len(kinds)


async def test_options_names_every_method_of_a_path(market: Market):
    answer = await market.http.options("/v1/sessions")

    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, OPTIONS, POST")


async def test_health_says_that_the_writer_takes_work(market: Market):
    before = (await market.http.get("/healthz")).json()
    after = (await market.http.get("/healthz")).json()

    assert before["status"] == "ok"
    assert after["units"] == before["units"] + 1


async def test_a_market_that_cannot_write_is_not_well(market: Market):
    market.store.close()

    answer = await market.http.get("/healthz")

    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/overloaded"
    assert answer.headers["retry-after"] == "1"


async def test_no_agent_card_is_served_while_no_a2a_is_spoken(market: Market):
    assert (await market.http.get("/.well-known/agent-card.json")).status_code == 404


def test_a_production_market_has_no_faucet(sqlite_settings: Settings):
    paths = {
        mode: {
            place.path
            for place in http.published(create_app(sqlite_settings.with_(mode=mode)).routes)
        }
        for mode in ("sandbox", "production")
    }

    assert paths["sandbox"] - paths["production"] == {"/v1/faucet"}


async def test_the_markets_keys_verify_what_it_signs(street: Street):
    quote = await street.buyer.quote(street.service["id"])

    keys = (await street.market.http.get("/.well-known/jwks.json")).json()["keys"]

    store = street.market.store
    assert [key["kid"] for key in keys] == [store.signer.kid, store.merchant_key.kid]
    assert quote["quote"].count(".") == 2


async def test_an_agents_keys_are_public(market: Market):
    key = SigningKey.generate("P-256")
    agent = await market.stranger(key).enter("acme", "seller")

    answer = await market.http.get(f"/v1/agents/{agent.id}/keys")

    [published] = answer.json()["keys"]
    assert (published["kid"], published["alg"]) == (agent.id, "ES256")
