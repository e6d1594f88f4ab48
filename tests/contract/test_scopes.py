"""Scopes and audiences: every operation, with every kind of agent."""

from typing import Any

import httpx
import pytest

from market import identity
from market.protocol.commitments import AgentKind
from tests.contract.agents import Agent, nonce
from tests.contract.conftest import Market, published
from tests.contract.test_refusals import refused


def operations() -> list[Any]:
    return [pytest.param(place, id=place.operation.name) for place in published()]


@pytest.mark.parametrize("place", operations())
async def test_an_operation_names_its_scopes_and_refuses_a_token_without(
    crowd: dict[AgentKind, Agent], place: Any
):
    """Z5: authority is in the token, for every operation and every kind of agent."""
    scopes = place.operation.says.scopes

    assert scopes, "every operation says which scope it needs"
    assert set(scopes) <= {*identity.ALL_SCOPES, *identity.DELEGATED_SCOPES.values()}
    for kind, agent in crowd.items():
        without = set(identity.SCOPES[kind]) - set(scopes)
        if not without:
            continue
        token = (await agent.ask_token(scope=" ".join(sorted(without)))).json()["access_token"]
        answer = await asked(agent, place, token)
        problem = refused(answer, 403, "insufficient_scope")
        assert problem["scope"] in scopes


@pytest.mark.parametrize("place", operations())
async def test_an_operation_refuses_a_token_for_another_audience(
    crowd: dict[AgentKind, Agent], place: Any
):
    """I9: a token is good for one audience, at every operation."""
    agent = crowd["buyer"]
    for audience in ("/mcp", "/a2a"):
        given = await agent.ask_token(resource=agent.issuer + audience)
        refused(await asked(agent, place, given.json()["access_token"]), 401, "unauthenticated")
    assert (await asked(agent, place, "")).status_code == 401


async def test_the_document_publishes_the_scopes(market: Market):
    document = (await market.http.get("/openapi.json")).json()
    by_name = {
        operation["operationId"]: operation
        for methods in document["paths"].values()
        for operation in methods.values()
    }

    assert by_name["place_order"]["security"] == [{"bearer": ["pay"]}]
    assert {"bearer": ["session.read"]} in by_name["read_events"]["security"]
    assert by_name["read_entry"]["security"] == []


async def asked(agent: Agent, place: Any, token: str) -> httpx.Response:
    """Ask for an operation, at an address that is nobody's, with a body that is none."""
    path = place.path
    for name in place.operation.takes.paths:
        path = path.replace("{" + name + "}", "ord_01h455vb4pex5vsknk084sn02q")
    headers = {"authorization": f"Bearer {token}", "idempotency-key": nonce()}
    return await agent.http.request(place.method, path, headers=headers)
