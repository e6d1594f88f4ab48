"""Units of each chunk: what was delivered is what may be captured.

A handler that yields ``Chunk(output, units=n)`` says itself what a chunk is worth, and its chunks
go out as they come. For one that yields plain dicts, each chunk counts one unit for as long as
more than one is left, later ones count none, and the last takes the rest, so that a complete
delivery has all the units that were paid for. To know which is the last, a plain dict is held
back until the handler yields again or ends. Where an order is capped, each plain chunk is one unit
and the last takes no rest: what comes is what is paid. ``share_of`` spreads units over a known
number of chunks.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from seller_services.handling import CannotDeliver, Chunk, Yielded


async def metered(
    outputs: AsyncGenerator[Yielded, None], units: int, *, is_cap: bool = False
) -> AsyncGenerator[Chunk, None]:
    """Yield the outputs as chunks that amount to at most ``units``, with plain ones exactly.

    Raises:
        CannotDeliver: the handler delivers more units than were paid for.
    """
    left, held = units, None
    async with aclosing(outputs):
        async for yielded in outputs:
            if held is not None:
                share = min(1, max(0, left - 1))
                left -= share
                yield Chunk(held, share)
                held = None
            if is_cap and not isinstance(yielded, Chunk):
                yielded = Chunk(yielded, 1)
            if isinstance(yielded, Chunk):
                left -= yielded.units
                if yielded.units < 0 or left < 0:
                    raise CannotDeliver(
                        f"the handler delivers more than the {units} units paid for"
                    )
                yield yielded
            else:
                held = yielded
    if held is not None:
        yield Chunk(held, left)


def share_of(units: int, *, part: int, parts: int) -> int:
    """Return the units of one of ``parts``, counted from 0; together they are ``units``."""
    return units * (part + 1) // parts - units * part // parts
