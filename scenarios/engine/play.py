"""Playing a story: a real market on a loopback socket, real clients, and then the proof."""

import asyncio
import random
import tempfile
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from time import monotonic

import anyio
from msgspec import UNSET

from buyer_agents import (
    BadAnswer,
    MarketClient,
    MarketUnreachable,
    Shopper,
    follow_inbox,
)
from market.base.settings import Settings
from scenarios.engine import keeping
from scenarios.engine.breaks import Breaks, is_own, leave
from scenarios.engine.casting import Buyer, Cast, Casting
from scenarios.engine.checks import check
from scenarios.engine.deciding import policy_for
from scenarios.engine.director import Director
from scenarios.engine.facts import Facts
from scenarios.engine.form import ArrivePart, Scenario, seconds
from scenarios.engine.proof import Proof, prove
from scenarios.engine.recording import Record, record_of
from scenarios.engine.result import (
    ExpectationResult,
    RunResult,
    TroubleResult,
    expectations_of,
    faults_of,
    funnel_of,
    journey_result,
    runs_of,
    wallets_of,
    watchers_of,
)
from scenarios.engine.roles import cast_of
from scenarios.engine.seeds import chance_of, key_of, nonces_of
from scenarios.engine.simulated import SimulatedLoop
from scenarios.engine.stalls import MarketProgram
from scenarios.engine.standings import sellers_of, tables_of
from scenarios.engine.story import BadScenario, Story, Trouble
from scenarios.engine.telling import Broke, JourneyOver, Opened, Tell, nobody
from scenarios.engine.vouching import OVERSEER, overseers
from scenarios.engine.worlds import (
    HOST,
    RealWorld,
    SimulatedWorld,
    World,
    is_simulated,
    limit_of,
    run_in_world,
)


async def run(
    story: Story | Scenario,
    *,
    seed: int | None = None,
    folder: Path | None = None,
    tell: Tell = nobody,
    stop: anyio.Event | None = None,
) -> RunResult:
    """Play a story to its end and return what it came to.

    ``seed`` replaces the scenario's own. What the run leaves behind goes to ``folder``; without
    one, nothing stays. ``stop`` ends the run early; what there is then is the result. A story in
    virtual time runs in an event loop of its own: ``worlds.run_in_world`` gives it one, and only
    there is ``stop`` heard.

    Raises:
        BadScenario: it cannot be played, or, when it was played to its end and kept, a fault, an
            act or an expectation tested nothing, or code of its own broke.
    """
    if isinstance(story, Scenario):
        story = check(Story(story))
    if is_simulated(story.scenario) and not isinstance(asyncio.get_running_loop(), SimulatedLoop):
        again = partial(run, story, seed=seed, folder=folder, tell=tell)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, run_in_world, story.scenario, again)
    seed = story.scenario.seed if seed is None else seed
    if folder is not None:
        return await Run(story, seed, folder, tell).play(stop or anyio.Event())
    with tempfile.TemporaryDirectory(prefix="market-run-") as name:
        return await Run(story, seed, Path(name), tell).play(stop or anyio.Event())


class Run:
    """One run of one story."""

    def __init__(self, story: Story, seed: int, folder: Path, tell: Tell) -> None:
        self._story = story
        self._scenario = story.scenario
        self._seed = seed
        self._folder = folder
        self._tell = tell
        self._over: dict[str, anyio.Event] = {}
        self._mistakes: list[str] = []
        self._breaks = Breaks()

    async def play(self, stop: anyio.Event) -> RunResult:
        """Play it, keep what is to be kept, and return the result.

        Raises:
            BadScenario: a fault, an act or an expectation tested nothing, or an agent broke.
        """
        if not is_simulated(self._scenario):
            return await self._play(RealWorld(), stop)
        # What is simulated takes its chances from the seed alone, also where a library draws them.
        random.seed(self._seed)
        with tempfile.TemporaryDirectory(prefix="market-") as name:
            until = limit_of(self._scenario)
            world = SimulatedWorld(Path(name), seed=self._seed, until_seconds=until)
            return await self._play(world, stop)

    async def _play(self, world: World, stop: anyio.Event) -> RunResult:
        began_at = monotonic()
        settings = self._settings(world)
        key, nonce = key_of(self._seed, OVERSEER), nonces_of(self._seed, OVERSEER)
        async with (
            MarketProgram(world, settings) as market,
            MarketClient(world.url, key, nonce=nonce, **world.options()) as overseer,
        ):
            director = Director(self._story, self._seed, overseer, market, self._tell)
            record = await self._perform(world, overseer, director, stop)
        proof = await asyncio.to_thread(prove, settings, clock=world.clock)
        broken = [f"{finding.where}: {finding.detail}" for finding in proof.findings]
        facts = replace(record.facts, findings=self._mistakes + broken)
        expectations, untested = expectations_of(self._story, facts)
        troubles = self._breaks.troubles()
        if not (facts.findings or stop.is_set()):
            troubles += [*director.troubles(), *untested]
        result = self._result(
            facts,
            expectations,
            director,
            proof,
            troubles=troubles,
            seconds=monotonic() - began_at,
            is_interrupted=stop.is_set(),
        )
        events = [event for journey in record.facts.journeys for event in journey.events]
        keeping.keep(
            self._folder,
            result=result,
            events=events,
            keys=record.keys,
            receipts=record.receipts,
            cast=cast_of(self._scenario, record.facts.names),
        )
        if troubles and not (result.findings or result.is_interrupted):
            raise BadScenario(*troubles)
        return result

    def _settings(self, world: World) -> Settings:
        part = self._scenario.market
        return Settings(
            home=self._folder,
            host=HOST,
            port=world.port,
            server="uvicorn",
            synchronous="normal" if is_simulated(self._scenario) else "full",
            currency=part.currency,
            fee_basis_points=part.fee_basis_points,
            token_seconds=int(world.calm * Settings.token_seconds),
            quote_ttl_seconds=int(seconds(part.quote_ttl)),
            approval_ttl_seconds=int(seconds(part.approval_ttl)),
            accept_window_seconds=int(seconds(part.accept_window)),
            typical_after_orders=part.typical_after,
            overseer_ids=tuple(key_of(self._seed, name).kid for name in overseers(self._scenario)),
        )

    async def _perform(
        self, world: World, overseer: MarketClient, director: Director, stop: anyio.Event
    ) -> Record:
        async with AsyncExitStack() as stack, anyio.create_task_group() as group:
            casting = Casting(
                self._story,
                self._seed,
                world,
                overseer=overseer,
                director=director,
                breaks=self._breaks,
                tell=self._tell,
            )
            cast = await casting.cast(stack, group)
            self._tell(Opened(world.url, cast.names))
            director.wait_for_moments(group)
            await self._journeys(cast, director, stop)
            if self._is_over:
                await director.finish()
            record = await record_of(
                cast,
                director,
                overseer,
                seed=self._seed,
                currency=self._scenario.market.currency,
            )
            group.cancel_scope.cancel()
        return record

    @property
    def _is_over(self) -> bool:
        return all(event.is_set() for event in self._over.values())

    async def _journeys(self, cast: Cast, director: Director, stop: anyio.Event) -> None:
        """Let every buyer go, until all are through, time is up, or the run is stopped."""
        self._over = {buyer.name: anyio.Event() for buyer in cast.buyers}
        with anyio.move_on_after(limit_of(self._scenario)):
            async with anyio.create_task_group() as group:
                group.start_soon(_stop_early, stop, group)
                for buyer in cast.buyers:
                    group.start_soon(self._shop, buyer, director)
                for event in self._over.values():
                    await event.wait()
                group.cancel_scope.cancel()

    async def _shop(self, buyer: Buyer, director: Director) -> None:
        await self._arrive(buyer)
        try:
            await self._walk(buyer)
        except MarketUnreachable:
            # Its journey stays open: the story may say so.
            pass
        except BadAnswer as error:
            self._mistakes.append(f"the market answered {buyer.name} wrongly: {error}")
        except (Exception, SystemExit) as error:
            # The edge to code of the story's own: whatever it raises ends its agent alone.
            if not is_own(buyer.part.policy):
                raise
            await self._break(buyer, director, error)
        self._over[buyer.name].set()
        over = sum(event.is_set() for event in self._over.values())
        self._tell(JourneyOver(buyer.name, over, len(self._over)))

    async def _walk(self, buyer: Buyer) -> None:
        """Let a buyer go its journeys, one after the other."""
        shopper = Shopper(
            buyer.client,
            policy_for(buyer.part, buyer.name, self._seed),
            mandate_id=buyer.mandate_id,
            follow=buyer.view.follow,
            reviews=self._scenario.market.reviews,
        )
        for number in range(buyer.part.journeys):
            if number:
                await anyio.sleep(seconds(buyer.part.rest))
            await shopper.run(buyer.need)

    async def _break(self, buyer: Buyer, director: Director, error: BaseException) -> None:
        """Let a buyer whose policy broke leave, with the reason; the run goes on."""
        where = self._story.where("buyers", self._scenario.buyers.index(buyer.part), "policy")
        what = self._breaks.note(where, buyer.name, buyer.part.policy, error)
        self._tell(Broke(buyer.name, what))
        # To a market that stays away nobody can say that it leaves.
        with suppress(MarketUnreachable):
            for log in list(director.logs.values()):
                if log.buyer == buyer.name:
                    await director.reaches(log.session_id, None)
                    await leave(buyer.client, log, what)

    async def _arrive(self, buyer: Buyer) -> None:
        arrive = buyer.part.arrive
        if arrive.after is not UNSET:
            for name, event in self._over.items():
                if fnmatchcase(name, arrive.after):
                    await event.wait()
        if arrive.on is not UNSET:
            async with aclosing(follow_inbox(buyer.client)) as messages:
                async for message in messages:
                    if message.kind == arrive.on:
                        break
        await anyio.sleep(
            arrival_of(arrive, buyer.number, chance_of(self._seed, f"{buyer.name} arrives"))
        )

    def _result(
        self,
        facts: Facts,
        expectations: list[ExpectationResult],
        director: Director,
        proof: Proof,
        *,
        troubles: list[Trouble],
        seconds: float,
        is_interrupted: bool,
    ) -> RunResult:
        tables = tables_of(self._scenario)
        return RunResult(
            name=self._scenario.name,
            seed=self._seed,
            market=self._scenario.market,
            currency=facts.currency,
            seconds=seconds,
            events=sum(len(journey.events) for journey in facts.journeys),
            is_over=self._is_over,
            is_interrupted=is_interrupted,
            expectations=expectations,
            funnel=funnel_of(facts.journeys),
            journeys=[
                journey_result(facts, one, table=tables[one.buyer], view=director.views[one.buyer])
                for one in facts.journeys
            ],
            sellers=sellers_of(facts, tables),
            watchers=watchers_of(facts),
            faults=faults_of(facts),
            runs=runs_of(facts),
            wallets=wallets_of(facts),
            proven=proof.summary,
            findings=list(facts.findings),
            troubles=[TroubleResult(**one._asdict()) for one in troubles],
            notes=director.notes(),
            folder=str(self._folder),
        )


async def _stop_early(stop: anyio.Event, group: anyio.abc.TaskGroup) -> None:
    await stop.wait()
    group.cancel_scope.cancel()


def arrival_of(arrive: ArrivePart, number: int, chance: random.Random) -> float:
    """Return after how many seconds the ``number``-th buyer of a table comes, from 0.

    The chance is the buyer's own: who else comes changes nothing.
    """
    every, within = seconds(arrive.every), seconds(arrive.within)
    early_or_late = every * arrive.jitter * chance.uniform(-1, 1)
    moment = number * every + early_or_late + within * chance.random()
    return seconds(arrive.at) + max(0.0, moment)
