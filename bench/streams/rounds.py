"""The slices: every scene on every server, turn by turn, so that what disturbs hits them alike."""

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Final

from bench.harness import SLICES, Served, workplace
from bench.streams import scenes
from bench.streams.report import Comparison, Row
from bench.streams.scenes import Sample
from bench.streams.servers import side_by_side

YARDSTICK: Final = "append, 64 writers"
"""Whose rate on the memory store says how steady the machine was."""

Samples = dict[str, dict[str, list[Sample]]]
"""By figure, then by server: one sample a slice."""


def run() -> Comparison:
    """Measure, and return the comparison."""
    with workplace() as folder:
        return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> Comparison:
    found: Samples = defaultdict(lambda: defaultdict(list))
    with side_by_side(folder) as servers:
        shelves = {server.name: await scenes.shelve(server) for server in servers}
        await _round(servers, shelves, "warm-up")
        for number in range(SLICES):
            turn = number % len(servers)
            order = servers[turn:] + servers[:turn]
            for name, samples in (await _round(order, shelves, str(number))).items():
                for sample in samples:
                    found[sample.name][name].append(sample)
    rows = [Row.of(samples) for samples in found.values()]
    [steady] = [row for row in rows if row.name == YARDSTICK]
    return Comparison.of("Durable Streams, against the reference server", rows, steady.memory)


async def _round(
    servers: list[Served], shelves: dict[str, str], label: str
) -> dict[str, list[Sample]]:
    """Play each scene on one server after another; return the samples of each server."""
    found: dict[str, list[Sample]] = {server.name: [] for server in servers}
    for scene in (scenes.appends, scenes.live, scenes.fan_out, scenes.come_back):
        for server in servers:
            found[server.name] += await scene(server, label)
    for server in servers:
        found[server.name] += await scenes.catch_up(server, shelves[server.name])
    return found
