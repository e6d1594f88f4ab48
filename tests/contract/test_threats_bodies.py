"""Hostile bodies, for every operation that is published: numbers, members, depth."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from market import identity
from market.protocol.commitments import AgentKind
from tests.contract.agents import Agent, nonce
from tests.contract.conftest import published
from tests.contract.test_refusals import refused

NO_COUNT = ("9223372036854775808", "1" + "0" * 30, "1.0", "1e2", '"1"', "true", "NaN", "-1", "[]")
"""What is neither money nor a count: too large, a fraction's spelling, another type, below zero."""

TOO_DEEP = "[" * 30_000 + "]" * 30_000


class Place(NamedTuple):
    """A whole number that a request may hold: where, and from which number on it is allowed."""

    operation: Any
    field: str
    least: int

    def body(self, number: str) -> bytes:
        """The request that holds nothing else."""
        text = number
        for part in reversed(self.field.split(".")):
            text = f"[{text}]" if part == "[]" else f'{{"{part}": {text}}}'
        return text.encode()


def with_bodies() -> list[Any]:
    return [place for place in published() if place.operation.takes.body is not None]


def integers(schema: Any, components: Any, field: str = "") -> Iterator[tuple[str, int]]:
    """Every place of a schema at which a whole number is allowed, and the least that it may be."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from integers(components[name], components, field)
    for part in schema.get("anyOf", ()):
        yield from integers(part, components, field)
    if schema.get("type") == "integer":
        yield field, schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    if schema.get("type") == "array" and "items" in schema:
        yield from integers(schema["items"], components, f"{field}.[]".lstrip("."))
    for name, member in schema.get("properties", {}).items():
        yield from integers(member, components, f"{field}.{name}".lstrip("."))


def places() -> list[Place]:
    found = []
    for place in with_bodies():
        [schema], components = msgspec.json.schema_components(
            [place.operation.takes.body], ref_template="#/{name}"
        )
        found += [Place(place, *each) for each in integers(schema, components)]
    return found


def one_that_may(crowd: dict[AgentKind, Agent], place: Any) -> Agent:
    """An agent that has a scope for the operation."""
    scopes = set(place.operation.says.scopes)
    return next(agent for kind, agent in crowd.items() if scopes & set(identity.SCOPES[kind]))


async def sent(agent: Agent, place: Any, content: bytes) -> httpx.Response:
    path = place.path
    for name, kind in place.operation.takes.paths.items():
        path = path.replace("{" + name + "}", some(kind))
    headers = {
        **agent.bearer,
        "content-type": "application/json",
        "idempotency-key": nonce(),
    }
    return await agent.http.request(place.method, path, content=content, headers=headers)


def some(kind: Any) -> str:
    """A name of the form that a path asks for; it is nobody's."""
    for name in (
        *(f"{prefix}_01h455vb4pex5vsknk084sn02q" for prefix in PREFIXES),
        "A" * 43,
        "1",
        "some",
    ):
        try:
            return str(msgspec.convert(name, kind, strict=False))
        except msgspec.ValidationError:
            continue
    raise AssertionError(f"no name is of the form {kind}")


PREFIXES = ("svc", "qte", "mdt", "ord", "rcp", "ses", "ctr", "dsp", "rev")


@pytest.mark.parametrize(
    "place", places(), ids=lambda place: f"{place.operation.operation.name}:{place.field}"
)
async def test_no_field_of_money_or_count_takes_what_is_no_whole_number(
    crowd: dict[AgentKind, Agent], place: Place
):
    """M4, M5: 422 that names the field; never a 500, and never an amount that was guessed."""
    agent = one_that_may(crowd, place.operation)
    wrong = (*NO_COUNT, "0", "-0") if place.least > 0 else NO_COUNT

    for number in wrong:
        answer = await sent(agent, place.operation, place.body(number))
        if number == "NaN":  # no JSON at all
            assert answer.status_code in (400, 422), (number, answer.text)
        else:
            problem = refused(answer, 422, "invalid_body")
            assert place.field.split(".")[0] in problem["errors"][0]["field"], number


def test_the_walk_finds_the_fields_of_money():
    """M5: before the walk is believed."""
    found = {f"{place.operation.operation.name}:{place.field}" for place in places()}

    assert {
        "fund_agent:amount_minor", "deliver_chunk:units", "ask_quote:max_minor",
        "resolve_dispute:refund_minor",
    } <= found  # fmt: skip
    assert len(found) >= 15


@pytest.mark.parametrize("place", with_bodies(), ids=lambda place: place.operation.name)
async def test_no_operation_takes_a_member_that_it_does_not_know(
    crowd: dict[AgentKind, Agent], place: Any
):
    """Z3, Z8: 422 for every body; neither a state, a role, a fee nor another's id can be sent."""
    agent = one_that_may(crowd, place)

    for name in ("status", "fee_minor", "trust", "role", "owner_id", "captured_minor", "__class__"):
        problem = refused(
            await sent(agent, place, b'{"%b": 1}' % name.encode()), 422, "invalid_body"
        )
        assert problem["errors"][0]["field"] == name


@pytest.mark.parametrize("place", with_bodies(), ids=lambda place: place.operation.name)
async def test_no_operation_falls_over_a_body_without_a_bottom(
    crowd: dict[AgentKind, Agent], place: Any
):
    """D3: nested 30,000 deep, in a member that is known, in one that is not, and as the whole."""
    agent = one_that_may(crowd, place)
    known = place.operation.takes.body.__struct_fields__[:1]

    for content in (*(f'{{"{name}": {TOO_DEEP}}}' for name in (*known, "x")), TOO_DEEP):
        answer = await sent(agent, place, content.encode())
        assert answer.status_code in (400, 413, 422), answer.text


NUMBERS_IN_QUERIES = [
    (place, field.encode_name)
    for place in published()
    for field in msgspec.structs.fields(place.operation.takes.query)
    if '"integer"' in msgspec.json.encode(msgspec.json.schema(field.type)).decode()
]


@pytest.mark.parametrize(
    ("place", "name"),
    NUMBERS_IN_QUERIES,
    ids=lambda part: part if isinstance(part, str) else part.operation.name,
)
async def test_no_parameter_takes_what_is_no_whole_number(
    crowd: dict[AgentKind, Agent], place: Any, name: str
):
    """L1, M5, D5: offsets, limits and bounds of money: 400 that names the parameter."""
    agent = one_that_may(crowd, place)
    path = place.path
    for part, kind in place.operation.takes.paths.items():
        path = path.replace("{" + part + "}", some(kind))

    for number in (
        "1180591620717411303424",
        "9223372036854775808",
        "-2",
        "1.5",
        "true",
        "NaN",
        "x",
    ):
        answer = await agent.get(f"{path}?{name}={number}")
        assert refused(answer, 400, "invalid_parameter")["errors"][0]["field"] == name, number
    if name == "limit":
        refused(await agent.get(f"{path}?limit=1000000000"), 400, "invalid_parameter")
