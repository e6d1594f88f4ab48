"""A seller as a program of its own, for tests that kill it: one chunk a page, with time between.

``python page_seller.py MANIFEST KEY URL [SECONDS]``
"""

import asyncio
import sys
from collections.abc import AsyncIterator

from seller_services import Chunk, Order, Seller

PAGE_SECONDS = float(sys.argv[4]) if len(sys.argv) > 4 else 0.01
"""How long the work on a page takes: enough to be killed in the middle of an order."""

seller = Seller(sys.argv[1], key=sys.argv[2])


@seller.handle
async def rows(order: Order) -> AsyncIterator[Chunk]:
    """Yield the words of each page as rows; listen to who steers, and change nothing by it."""
    for page in order.input["pages"]:
        await asyncio.sleep(PAGE_SECONDS)
        order.steering.take()
        yield Chunk({"rows": page.split()}, units=1)


if __name__ == "__main__":
    seller.run(sys.argv[3])
