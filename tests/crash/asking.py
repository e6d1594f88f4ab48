"""What a client asked of the market, and what it was told: the record a crash is held against."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from buyer_agents import MarketClient, MarketUnreachable, Refused
from buyer_agents.connection import HTTP_BUSY

Send = Callable[[MarketClient], Awaitable[Any]]


class MarketGone(Exception):
    """The market, or its database, was killed: nobody knows what became of the request."""


@dataclass(eq=False)
class Ask:
    """One request, the same each time it is sent, with what was answered, if anything was.

    ``key`` is its Idempotency-Key, by which every repeat gets the first answer; without one a
    repeat is harmless, and answers how things stand by then.
    """

    kind: str
    send: Send
    key: str = ""
    answer: Any = None
    refusal: str = ""

    @property
    def is_answered(self) -> bool:
        return self.answer is not None or bool(self.refusal)

    async def put(self, market: MarketClient) -> None:
        """Send it, or send it again.

        Raises:
            MarketGone: there was no answer, or none that tells.
        """
        try:
            self.answer = await self.send(market)
        except Refused as refused:
            if refused.status in HTTP_BUSY:
                raise MarketGone from refused
            self.refusal = refused.code
        except MarketUnreachable as error:
            raise MarketGone from error


@dataclass(eq=False)
class Witness:
    """An agent that remembers all it asked for, and all it was told."""

    handle: str
    client: Callable[[], MarketClient]
    on_answer: Callable[[], None]
    asks: list[Ask] = field(default_factory=list)
    _names: "itertools.count[int]" = field(default_factory=itertools.count)

    async def ask(self, kind: str, send: Send, *, key: str = "") -> Any:
        """Ask for something once; return the answer, or None if it was refused.

        Raises:
            MarketGone: the request stays in doubt.
        """
        ask = Ask(kind, send, key)
        self.asks.append(ask)
        await ask.put(self.client())
        self.on_answer()
        return ask.answer

    def new_key(self) -> str:
        """A name that this witness has not used before."""
        return f"{self.handle}-{next(self._names)}"

    def in_doubt(self) -> list[Ask]:
        return [ask for ask in self.asks if not ask.is_answered]

    def answers(self, *kinds: str) -> list[Any]:
        """What was acknowledged, of these kinds."""
        return [ask.answer for ask in self.asks if ask.kind in kinds and ask.answer is not None]
