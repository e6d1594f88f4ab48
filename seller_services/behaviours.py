"""How sellers behave, by name; and those who fail, or mean harm.

What honest buyers, and the market's rules, are tried against: a behaviour of this module stands
between the order and an honest handler, and spoils what that makes. In a scenario it is
``behaviour = "..."`` of a seller, its members are ``params``. All but the flaky one may be
``honest`` for so many orders first: cheap praise before the fall. Those of prices are in
``pricing``.
"""

import random
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Final

import anyio

from buyer_agents import making
from buyer_agents.returning import WrongReturn
from buyer_agents.weighing import Share
from seller_services.handling import CannotDeliver, Handler, Order, Yielded, outputs_of
from seller_services.outputs import like, members_of, output_of
from seller_services.pricing import (
    Bargainer,
    Conduct,
    Discounting,
    Dynamic,
    Firm,
    Honest,
    Premium,
    Seconds,
)
from seller_services.seller import Seller

HONEST: Final = "honest"


class Behaviour(Conduct, frozen=True, kw_only=True):
    """How a seller that means harm goes about an order."""

    is_honest: ClassVar[bool] = False

    honest: int = 0
    """How many orders it works on as it should, before it begins."""

    def joins(self, seller: Seller) -> Seller:
        return seller.with_handler(self.of)

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

    def joins(self, seller: Seller) -> Seller:
        """Return the seller that leaves them out.

        Raises:
            BadParams: its output has no such member, so that nothing would be left out.
        """
        known = members_of(seller.manifest.output)
        for name in self.drops:
            if known and name not in known:
                near = making.suggestion(name, known, otherwise=f"; it has {', '.join(known)}")
                raise making.BadParams(
                    f"drops of bait-and-switch: the output of {seller.manifest.id} has no"
                    f" {name!r}{near}",
                    "drops",
                )
        return super().joins(seller)

    async def spoil(self, handler: Handler, order: Order) -> AsyncGenerator[Yielded, None]:
        async with aclosing(outputs_of(handler, order)) as outputs:
            async for yielded in outputs:
                kept = {
                    name: value
                    for name, value in output_of(yielded).items()
                    if name not in self.drops
                }
                yield like(yielded, kept)


class SchemaBreaker(Behaviour, frozen=True, kw_only=True):
    """Delivers something else than its own schema says: each value in a list of its own."""

    async def spoil(self, handler: Handler, order: Order) -> AsyncGenerator[Yielded, None]:
        async with aclosing(outputs_of(handler, order)) as outputs:
            async for yielded in outputs:
                broken = {name: [value] for name, value in output_of(yielded).items()}
                yield like(yielded, broken)


class SlowLoris(Behaviour, frozen=True, kw_only=True):
    """Delivers good work, a chunk every ``pause_seconds``: always alive, never done in time."""

    pause_seconds: float = 1.0

    async def spoil(self, handler: Handler, order: Order) -> AsyncGenerator[Yielded, None]:
        async with aclosing(outputs_of(handler, order)) as outputs:
            async for yielded in outputs:
                yield yielded
                await anyio.sleep(self.pause_seconds)


class Flaky(Conduct, frozen=True, kw_only=True):
    """Means well, but now and then gives an order up, or is slow.

    It ``fails`` a share of its orders before their first chunk, and is ``slow`` with a share of
    the others: it pauses for ``pause_seconds`` before each chunk. ``chance`` draws which.
    """

    chance: random.Random
    fails: Share = 0.1
    slow: Share = 0.0
    pause_seconds: Seconds = 1.0

    def joins(self, seller: Seller) -> Seller:
        return seller.with_handler(self.of)

    def of(self, handler: Handler) -> Handler:
        """Return a handler that does what ``handler`` does, if it is lucky."""
        fates: dict[str, tuple[bool, bool]] = {}

        async def behave(order: Order) -> AsyncGenerator[Yielded, None]:
            # An order that is worked on again, after a crash, keeps its fate.
            if order.id not in fates:
                draws = self.chance.random(), self.chance.random()
                fates[order.id] = draws[0] < self.fails, draws[1] < self.slow
            has_failed, is_slow = fates[order.id]
            if has_failed:
                raise CannotDeliver("it did not work this time")
            async with aclosing(outputs_of(handler, order)) as outputs:
                async for output in outputs:
                    if is_slow:
                        await anyio.sleep(self.pause_seconds)
                    yield output

        return behave


BEHAVIOURS: Final[dict[str, str | type[Conduct]]] = {
    HONEST: Honest,
    "premium": Premium,
    "discounting": Discounting,
    "dynamic": Dynamic,
    "firm": Firm,
    "bargainer": Bargainer,
    "flaky": Flaky,
    "non-deliverer": NonDeliverer,
    "exit-scammer": ExitScammer,
    "whitewasher": Whitewasher,
    "bait-and-switch": BaitAndSwitch,
    "schema-breaker": SchemaBreaker,
    "slow-loris": SlowLoris,
}
"""The behaviours by the names that scenarios use."""


class UnknownBehaviour(ValueError):
    """No behaviour has that name; the message lists those there are."""


def behaviour_named(name: str, params: Mapping[str, Any], **handed: Any) -> Conduct:
    """Return the behaviour called ``name``; one of one's own is ``package.module:Class``.

    ``handed`` may be ``chance``, a ``random.Random``, and ``agent``, the seller's name: it gets
    them if it asks for them.

    Raises:
        UnknownBehaviour: there is none of that name, or it is no behaviour.
        BadParams: it takes no such params.
    """
    try:
        cls = making.class_named(name, BEHAVIOURS, "behaviour")
    except making.UnknownClass as error:
        raise UnknownBehaviour(str(error)) from error
    making.is_honest(cls)
    conduct = making.made(cls, name, params, handed)
    if not isinstance(conduct, Conduct):
        raise UnknownBehaviour(f"{name} is no behaviour: it is no kind of Conduct")
    return conduct


def joined(conduct: Conduct, seller: Seller) -> Seller:
    """Return the seller that a behaviour makes of ``seller``.

    Raises:
        WrongReturn: it makes none.
        BadParams: its params do not fit what this one sells.
    """
    made: Any = conduct.joins(seller)
    if not isinstance(made, Seller):
        raise WrongReturn(conduct.joins, made, "a Seller")
    return made
