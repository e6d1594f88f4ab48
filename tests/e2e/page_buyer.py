"""A buyer as a program of its own, for tests that kill it: it goes on where it stopped.

``python page_buyer.py KEY URL PAGES`` writes how its journey ended as a line of JSON.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from buyer_agents import MarketClient, Need, Shopper, policy_named
from market.protocol.signing import SigningKey


async def main(key: str, url: str, pages: int) -> None:
    """Buy the rows of so many pages."""
    request = {"pages": [f"page {number} says {number * 7}" for number in range(pages)]}
    async with MarketClient(url, SigningKey.load(Path(key))) as market:
        await market.register("thrifty", "buyer")
        shopper = Shopper(market, policy_named("cheapest"))
        journey = await shopper.resume(Need(query="page rows", input=request))
    sys.stdout.write(msgspec.json.encode(journey).decode() + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
