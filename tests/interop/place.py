"""Where others' clients make streams, and how they get in."""

import itertools
from dataclasses import dataclass

from buyer_agents import MarketClient
from market.protocol.signing import SigningKey

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """A market whose streams ask for a token, and the token of an agent that is in it."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What shows who asks."""
        return {"authorization": f"Bearer {self.token}"}

    def new(self) -> str:
        """The address of a stream that is not there yet."""
        return f"{self.url}/v1/stream/notes-{next(_numbers)}"


async def enter(url: str) -> Place:
    """Let an agent into a market that runs somewhere."""
    async with MarketClient(url, SigningKey.generate()) as agent:
        await agent.register("elsewhere", "buyer")
        authorization = await agent.authorization()
        return Place(url, authorization.removeprefix("Bearer "))
