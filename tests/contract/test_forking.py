"""Forks over HTTP: made once, found at their address, refused to others."""

import msgspec

from tests.contract.conftest import Market, Street
from tests.contract.test_streams import open_session, whole_log


async def test_a_repeated_fork_is_made_once(market: Market):
    buyer = await market.enter("thrifty", "buyer")
    session_id = await open_session(buyer, events=2)

    path, body = f"/v1/sessions/{session_id}/fork", {"after": 1}
    first = await buyer.post(path, body, key="fork-1")
    again = await buyer.post(path, body, key="fork-1")

    assert first.status_code == 201
    assert first.json() == again.json()
    assert first.headers["location"] == f"/v1/sessions/{first.json()['id']}"
    made = await buyer.get(first.headers["location"])
    assert made.json() == first.json()
    assert (await whole_log(buyer, made.json()["id"]))[:2] == (await whole_log(buyer, session_id))[
        :2
    ]


async def test_a_fork_where_there_is_nothing_is_refused(market: Market):
    buyer = await market.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    for body, status, code in (
        ({"after": 1}, 422, "bad_fork_point"),
        ({"after": -1}, 422, "invalid_body"),
        ({}, 422, "invalid_body"),
        ({"after": 0, "labels": {"Loud": "x"}}, 422, "invalid_body"),
    ):
        answer = await buyer.post(f"/v1/sessions/{session_id}/fork", body)

        assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{code}")


async def test_only_owners_fork(street: Street):
    order = await street.settled()
    path = f"/v1/sessions/{order['session_id']}/fork"

    for other in (street.other, street.seller):
        answer = await other.post(path, {"after": 0})

        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/session_not_found")


async def test_a_fork_keeps_its_buyer_when_an_overseer_makes_it(street: Street):
    order = await street.placed()
    overseer = await street.market.overseer()

    made = await overseer.made(f"/v1/sessions/{order['session_id']}/fork", {"after": 0})
    seen = await street.buyer.get(f"/v1/sessions/{made['id']}/events")

    assert made["buyer_id"] == street.buyer.id
    kinds = [event["kind"] for event in msgspec.json.decode(seen.content)["items"]]
    assert kinds == ["session.opened", "session.forked"]
