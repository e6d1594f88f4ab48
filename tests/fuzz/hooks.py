"""What schemathesis loads: who calls, and requests that wait for nothing.

``FUZZ_TOWN`` is the file that ``tests.fuzz.run`` wrote: the market's address, the keys of its
agents, and the role that calls in this run.
"""

import asyncio
import os
from pathlib import Path
from typing import Any, Final

import msgspec
import schemathesis

from buyer_agents import MarketClient
from tests.fuzz.town import Town, key_of

REFRESH_SECONDS: Final = 200
"""Tokens live five minutes."""

_town: Final = msgspec.json.decode(Path(os.environ["FUZZ_TOWN"]).read_bytes(), type=Town)
_ids: Final = {name: ids for name, ids in _town.ids.items() if ids}


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
def map_query(context: Any, query: Any) -> Any:
    """Wait for nothing: a long poll that is granted its time would take all of the run's."""
    if query and "wait_seconds" in query and isinstance(query["wait_seconds"], int):
        query["wait_seconds"] = min(query["wait_seconds"], 0)
    return query


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Name what is there, most of the time: an id of the right form, but unknown, is a 404."""
    for name, ids in _ids.items():
        given = (path_parameters or {}).get(name)
        if isinstance(given, str) and len(given) == len(ids[0]):
            path_parameters[name] = ids[sum(given.encode()) % len(ids)]
    return path_parameters


async def _token() -> str:
    async with MarketClient(_town.url, key_of(_town.role)) as agent:
        return await agent.authorization()
