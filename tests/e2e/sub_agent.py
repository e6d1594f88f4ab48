"""A sub-agent as a program of its own: it writes the steps of its run into the session itself.

``python sub_agent.py KEY URL SESSION RUN STEPS SECONDS`` takes so long for each step.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from buyer_agents import MarketClient, Producer
from market.protocol.signing import SigningKey
from market.protocol.wire import WriteEvent


async def main(key: str, url: str, session_id: str, run: str, steps: int, seconds: float) -> None:
    """Work, and say so after each step."""
    said: list[tuple[str, dict[str, Any]]] = [("run.started", {"title": f"work on {run}"})]
    said += [("run.step", {"step": f"step-{number}"}) for number in range(steps)]
    said.append(("run.ended", {"outcome": "done"}))
    async with MarketClient(url, SigningKey.load(Path(key))) as market:
        for sequence, (kind, body) in enumerate(said):
            event = WriteEvent(kind=kind, body={"run": run, **body})
            producer = Producer(run, 0, sequence)
            await market.write_events(session_id, [event], producer=producer)
            await asyncio.sleep(seconds)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5], int(sys.argv[5]), float(sys.argv[6])))
