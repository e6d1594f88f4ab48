"""What schemathesis loads: who calls, requests that reach something, and one check more.

``FUZZ_TOWN`` is the file that ``tests.fuzz.run`` wrote. Only requests that fit the schema are
changed: they name what is there, and carry commitments that are really signed.
"""

import asyncio
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import schemathesis

from buyer_agents import MarketClient
from tests.fuzz.commitments import FIELDS, Signer
from tests.fuzz.town import Town, key_of

FORM_CODES: Final = frozenset({"invalid_body", "invalid_parameter"})
"""Refusals of what breaks the published schema: they are wrong for what fits it."""

AS_FLOAT: Final = re.compile(r"Expected `int( \| null)?`, got `float`")
"""JSON Schema takes 1.0 for a whole number; here money and counts are written without a point."""

REFRESH_SECONDS: Final = 200
"""Tokens live five minutes."""

_town: Final = msgspec.json.decode(Path(os.environ["FUZZ_TOWN"]).read_bytes(), type=Town)
_signer: Final = Signer(key_of(_town.role), _town.url, _town.ids)
_numbers = itertools.count(1)
_given: set[str] = set()
"""Every text that the market has answered with: what a chain of requests names, it means."""


@schemathesis.auth(refresh_interval=REFRESH_SECONDS)
class Role:
    """Sends the bearer token of the role of this run."""

    def get(self, case: Any, context: Any) -> str:
        """Return a new token."""
        return asyncio.run(_token())

    def set(self, case: Any, data: str, context: Any) -> None:
        """Show it."""
        case.headers["Authorization"] = data


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Have a good request name what is there, be the first of its key, and wait for nothing."""
    if not _is_good(case):
        return
    if "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f"fuzz-{next(_numbers)}"
    if (case.query or {}).get("wait_seconds"):
        case.query["wait_seconds"] = 0
    for texts in (case.path_parameters, case.query, case.body):
        if isinstance(texts, dict):
            _name_what_is_there(texts)
    _forget_orders_of_others(case)
    _commit(case)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember what the market has named, and what was named to it with success."""
    if response.status_code < 300:
        _given.update(_texts(case.path_parameters))
        if response.content and "application/json" in response.headers.get("content-type", ()):
            _given.update(_texts(response.json()))


@schemathesis.check
def refused_for_what_no_schema_says(context: Any, response: Any, case: Any) -> None:
    """A request that fits the schema is not refused as one that does not."""
    if response.status_code != 422 or not _is_good(case):
        return
    problem = response.json()
    reasons = [error["detail"] for error in problem.get("errors", [])]
    if problem["type"].rpartition("/")[2] in FORM_CODES and not any(
        AS_FLOAT.search(reason) for reason in reasons
    ):
        raise AssertionError(f"it fits the schema, and was refused: {problem}")


def _is_good(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


def _name_what_is_there(texts: dict[str, Any]) -> None:
    """Put real ids in place of most that are made up; which, follows from the text."""
    for name, ids in _town.ids.items():
        given = texts.get(name)
        if isinstance(given, str) and given not in _given:
            number = sum(given.encode("utf-8", "replace"))
            if number % 8:
                texts[name] = ids[number % len(ids)]


def _texts(value: Any) -> Iterator[str]:
    """Yield every text within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _forget_orders_of_others(case: Any) -> None:
    """Name no order in a session that this chain of requests has just opened: it has none."""
    session_id = (case.path_parameters or {}).get("session_id")
    is_new = session_id is not None and session_id not in _town.ids["session_id"]
    if is_new and isinstance(case.body, dict) and "order_id" in case.body:
        case.body["order_id"] = None


def _commit(case: Any) -> None:
    operation = case.operation.definition.raw.get("operationId")
    member = FIELDS.get(operation)
    if isinstance(case.body, dict) and isinstance(case.body.get(member), str):
        case.body[member] = _signer.sign(operation, case.body[member])


async def _token() -> str:
    async with MarketClient(_town.url, key_of(_town.role)) as agent:
        return await agent.authorization()
