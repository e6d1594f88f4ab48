"""Rounds of life and death, and what they come to."""

import asyncio
import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.crash.judging import (
    Violation,
    done_unanswered,
    examine,
    overdue,
    prove,
    settled_in,
)
from tests.crash.people import SETTINGS, People
from tests.crash.places import Place, Sites, Victim

KILLS_PER_STORE: Final = 10
"""After so many kills a fresh store is opened: so every kill can be audited to the last row."""

LIFE_SECONDS: Final = (0.1, 1.2)
"""How long a market lives under load, if it is not killed at an answer."""

AT_ANSWERS: Final = (1, 200)
AT_ANSWER_SHARE: Final = 0.5
"""Of the kills, how many happen in the very moment of some answer: those who share its commit have
theirs still before them.
"""

PATIENCE_SECONDS: Final = 30.0
LIMIT_SECONDS: Final = 300.0
Say = Callable[[str], None]


@dataclass
class Figures:
    """What a run came to."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    in_doubt: int = 0
    done_unanswered: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, violations: list[Violation]) -> None:
        """Count what was found."""
        self.violations += violations
        self.faults.update(violation.fault for violation in violations)

    def merge(self, other: "Figures") -> None:
        """Take in another run's."""
        self.kills += other.kills
        self.acknowledged += other.acknowledged
        self.refused += other.refused
        self.in_doubt += other.in_doubt
        self.done_unanswered += other.done_unanswered
        self.add(other.violations)
        self.seeds += other.seeds
        self.seconds += other.seconds


class Alarm:
    """Kills at the chosen answer, from within the very task that got it."""

    def __init__(self) -> None:
        self._left = 0
        self._act: Callable[[], None] = lambda: None

    def set(self, answers: int, act: Callable[[], None]) -> None:
        self._left, self._act = answers, act

    def hear(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._act()


async def crash(
    sites: Sites, *, kills: int, seed: int, say: Say, seconds: float = math.inf
) -> Figures:
    """Kill markets so many times, on stores opened at ``sites``; return what it came to.

    It ends early when ``seconds`` are over, and at the first violation.
    """
    figures = Figures()
    began = time.monotonic()
    while figures.kills.total() < kills and not figures.violations:
        if time.monotonic() - began > seconds:
            break
        of_store = Store(sites.open(**SETTINGS), seed + len(figures.seeds))
        figures.seeds.append(seed + len(figures.seeds))
        left = min(KILLS_PER_STORE, kills - figures.kills.total())
        await of_store.live_and_die(left, figures, say)
    figures.seconds = time.monotonic() - began
    return figures


class Store:
    """One store: the market on it, its people, and chance."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place = place
        self._chance = Random(seed)
        self._seed = seed
        self._alarm = Alarm()
        self._people = People(self._chance, self._alarm.hear)

    async def live_and_die(self, kills: int, figures: Figures, say: Say) -> None:
        """Open it, kill it so many times, and stop it; ends early when something is wrong."""
        people, process = self._people, self._place.process
        with process:
            try:
                await people.settle_in(process.url)
                figures.add(settled_in(people))
                for _ in range(kills):
                    if figures.violations:
                        break
                    async with asyncio.timeout(LIMIT_SECONDS):
                        figures.add(await self._round(figures))
                    say(self._line(figures))
            finally:
                await people.disconnect()
            if not figures.violations:
                # Whole also at the end, when the market was asked to stop.
                process.stop()
                figures.add(examine(self._place))
        for person in people.persons.values():
            asks = person.witness.asks
            figures.acknowledged.update(
                ask.kind.split()[0] for ask in asks if ask.answer is not None
            )
            figures.refused.update(
                f"{ask.kind.split()[0]}: {ask.refusal}" for ask in asks if ask.refusal
            )

    async def _round(self, figures: Figures) -> list[Violation]:
        place, people = self._place, self._people
        since = {handle: len(person.witness.asks) for handle, person in people.persons.items()}
        await people.connect(place.process.url, patience_seconds=0.001)
        victim = place.choose(self._chance)
        await self._live_until_killed(victim)
        await place.settle(victim)
        figures.kills[f"{place.name}: {victim}"] += 1
        figures.in_doubt += sum(len(one.witness.in_doubt()) for one in people.persons.values())
        figures.done_unanswered += done_unanswered(place, people)
        # What the crash left behind must be whole before anybody mends anything.
        found = examine(place)
        await place.revive(victim)
        await people.connect(place.process.url, patience_seconds=PATIENCE_SECONDS)
        for person in people.persons.values():
            for ask in person.witness.in_doubt():
                await ask.put(people.client(person.witness.handle))
        found += await overdue(place)
        found += await prove(people, since)
        return found + examine(place)

    async def _live_until_killed(self, victim: Victim) -> None:
        chance, place = self._chance, self._place
        living = asyncio.create_task(self._people.live())
        if chance.random() < AT_ANSWER_SHARE:
            self._alarm.set(chance.randint(*AT_ANSWERS), lambda: place.kill(victim))
        else:
            await asyncio.sleep(chance.uniform(*LIFE_SECONDS))
            place.kill(victim)
        await living

    def _line(self, figures: Figures) -> str:
        orders = sum(
            len(person.witness.answers("place")) for person in self._people.persons.values()
        )
        return (
            f"{self._place.name} seed {self._seed}: {figures.kills.total()} kills, "
            f"{orders} orders in this store, {figures.in_doubt} in doubt so far, "
            f"{len(figures.violations)} violations"
        )


def to_stderr(line: str) -> None:
    """Say how far it is."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
