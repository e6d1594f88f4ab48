"""Sellers who mean harm: what honest buyers, and the market's rules, are tried against.

A behaviour stands between the order and an honest handler, and spoils what that makes. In a
scenario it is ``behaviour = "..."`` of a seller, its members are ``params``. All but the slow loris
may be ``honest`` for so many orders first: cheap praise before the fall.
"""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import anyio
import msgspec

from seller_services.handling import CannotDeliver, Chunk, Handler, Order, Yielded, outputs_of

HONEST: Final = "honest"


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a seller that means harm goes about an order."""

    honest: int = 0
    """How many orders it works on as it should, before it begins."""

    def of(self, handler: Handler) -> Handler:
        """Return a handler that behaves so with what ``handler`` makes."""
        seen: list[str] = []

        async def behave(order: Order) -> AsyncGenerator[Yielded, None]:
            # An order that is worked on again, after a crash, keeps its number.
            if order.id not in seen:
                seen.append(order.id)
            is_honest = seen.index(order.id) < self.honest
            work = outputs_of(handler, order) if is_honest else self.spoil(handler, order)
            async with aclosing(work) as outputs:
                async for output in outputs:
                    yield output

        return behave

    @abstractmethod
    def spoil(self, handler: Handler, order: Order) -> AsyncGenerator[Yielded, None]:
        """Return what the buyer gets in place of good work."""


class NonDeliverer(Behaviour, frozen=True, kw_only=True):
    """Takes orders and delivers ``chunks`` of them; then it gives up, or (``says`` nothing) waits.

    It shows signs of life meanwhile, so only the deadline ends that.
    """

    chunks: int = 0
    says: str = ""

    async def spoil(self, handler: Handler, order: Order) -> AsyncGenerator[Yielded, None]:
        async with aclosing(outputs_of(handler, order)) as outputs:
            for _ in range(self.chunks):
                yield await anext(outputs)
        if self.says:
            raise CannotDeliver(self.says)
        await anyio.sleep_forever()


class ExitScammer(NonDeliverer, frozen=True, kw_only=True):
    """Earns a good name first, and then stops delivering and takes what still comes."""

    honest: int = 5
    says: str = "come back tomorrow"


class Whitewasher(NonDeliverer, frozen=True, kw_only=True):
    """One of the names under which a bad seller comes back; a ``count`` of them is the whole."""

    honest: int = 1
    says: str = "no longer here"


class BaitAndSwitch(Behaviour, frozen=True, kw_only=True):
    """Shows good work at first, and then leaves out the members ``drops`` of every output.

    What is left fits the schema if these are optional in it: no machine can object.
    """

    drops: tuple[str, ...]

    async def spoil(self, handler: Handler, order: Order) -> AsyncGenerator[Yielded, None]:
        async with aclosing(outputs_of(handler, order)) as outputs:
            async for yielded in outputs:
                kept = {
                    name: value
                    for name, value in _output_of(yielded).items()
                    if name not in self.drops
                }
                yield _like(yielded, kept)


class SchemaBreaker(Behaviour, frozen=True, kw_only=True):
    """Delivers something else than its own schema says: each value in a list of its own."""

    async def spoil(self, handler: Handler, order: Order) -> AsyncGenerator[Yielded, None]:
        async with aclosing(outputs_of(handler, order)) as outputs:
            async for yielded in outputs:
                broken = {name: [value] for name, value in _output_of(yielded).items()}
                yield _like(yielded, broken)


class SlowLoris(Behaviour, frozen=True, kw_only=True):
    """Delivers good work, a chunk every ``pause_seconds``: always alive, never done in time."""

    pause_seconds: float = 1.0

    async def spoil(self, handler: Handler, order: Order) -> AsyncGenerator[Yielded, None]:
        async with aclosing(outputs_of(handler, order)) as outputs:
            async for yielded in outputs:
                yield yielded
                await anyio.sleep(self.pause_seconds)


BEHAVIOURS: Final[dict[str, type[Behaviour]]] = {
    "non-deliverer": NonDeliverer,
    "exit-scammer": ExitScammer,
    "whitewasher": Whitewasher,
    "bait-and-switch": BaitAndSwitch,
    "schema-breaker": SchemaBreaker,
    "slow-loris": SlowLoris,
}
"""The behaviours by the names that scenarios use, besides ``honest``."""


class UnknownBehaviour(ValueError):
    """No behaviour has that name, or it has no such params; the message tells."""


def behaving(handler: Handler, name: str, params: dict[str, Any]) -> Handler:
    """Return ``handler`` with a behaviour; ``honest`` is the handler itself.

    Raises:
        UnknownBehaviour: there is none of that name, or it has no such params.
    """
    if name == HONEST and not params:
        return handler
    if name not in BEHAVIOURS:
        known = ", ".join([HONEST, *BEHAVIOURS])
        raise UnknownBehaviour(f"no behaviour {name!r} with params; there are {known}")
    try:
        behaviour = msgspec.convert(params, BEHAVIOURS[name])
    except msgspec.ValidationError as error:
        raise UnknownBehaviour(f"the params of {name!r}: {error}") from error
    return behaviour.of(handler)


def _output_of(yielded: Yielded) -> dict[str, Any]:
    return yielded.output if isinstance(yielded, Chunk) else yielded


def _like(yielded: Yielded, output: dict[str, Any]) -> Yielded:
    return yielded._replace(output=output) if isinstance(yielded, Chunk) else output
