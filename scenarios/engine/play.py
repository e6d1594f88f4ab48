"""Playing a story: a real market on a loopback socket, real clients, and then the proof."""

import socket
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from time import monotonic

import anyio
import anyio.to_thread
from msgspec import UNSET

from buyer_agents import (
    BadAnswer,
    MarketClient,
    MarketUnreachable,
    Shopper,
    follow_inbox,
    policy_named,
)
from market.app import running
from market.base.settings import Settings
from scenarios.engine import keeping
from scenarios.engine.cable import HOST
from scenarios.engine.casting import OVERSEER, Buyer, Cast, Casting
from scenarios.engine.checks import check
from scenarios.engine.director import Director
from scenarios.engine.facts import Facts
from scenarios.engine.form import Scenario, seconds
from scenarios.engine.proof import Proof, prove
from scenarios.engine.recording import Record, record_of
from scenarios.engine.result import (
    ExpectationResult,
    RunResult,
    expectations_of,
    funnel_of,
    journey_result,
    runs_of,
    wallets_of,
    watchers_of,
)
from scenarios.engine.seeds import key_of, nonces_of
from scenarios.engine.story import BadScenario, Story, Trouble
from scenarios.engine.telling import JourneyOver, Opened, Tell, nobody


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
    one, nothing stays. ``stop`` ends the run early; what there is then is the result.

    Raises:
        BadScenario: it cannot be played, or a fault, an act or an expectation tested nothing.
    """
    if isinstance(story, Scenario):
        story = check(Story(story))
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

    async def play(self, stop: anyio.Event) -> RunResult:
        """Play it, keep what is to be kept, and return the result.

        Raises:
            BadScenario: a fault, an act or an expectation tested nothing.
        """
        began_at = monotonic()
        settings = self._settings()
        key = key_of(self._seed, OVERSEER)
        async with (
            running(settings),
            MarketClient(settings.issuer, key, nonce=nonces_of(self._seed, OVERSEER)) as overseer,
        ):
            director = Director(self._story, overseer, self._tell)
            record = await self._perform(settings.issuer, overseer, director, stop)
        proof = await anyio.to_thread.run_sync(prove, settings)
        broken = [f"{finding.where}: {finding.detail}" for finding in proof.findings]
        facts = replace(record.facts, findings=self._mistakes + broken)
        expectations, troubles = self._judge(facts)
        result = self._result(
            facts,
            expectations,
            director,
            proof,
            seconds=monotonic() - began_at,
            is_interrupted=stop.is_set(),
        )
        events = [event for journey in record.facts.journeys for event in journey.events]
        keeping.keep(
            self._folder, result=result, events=events, keys=record.keys, receipts=record.receipts
        )
        troubles = [*director.troubles(), *troubles]
        if troubles and not (result.findings or result.is_interrupted):
            raise BadScenario(*troubles)
        return result

    def _settings(self) -> Settings:
        part = self._scenario.market
        return Settings(
            home=self._folder,
            host=HOST,
            port=_free_port(),
            server="uvicorn",
            currency=part.currency,
            fee_basis_points=part.fee_basis_points,
            quote_ttl_seconds=int(seconds(part.quote_ttl)),
            approval_ttl_seconds=int(seconds(part.approval_ttl)),
            accept_window_seconds=int(seconds(part.accept_window)),
            typical_after_orders=part.typical_after,
            overseer_ids=(key_of(self._seed, OVERSEER).kid,),
        )

    async def _perform(
        self, url: str, overseer: MarketClient, director: Director, stop: anyio.Event
    ) -> Record:
        async with AsyncExitStack() as stack, anyio.create_task_group() as group:
            casting = Casting(
                self._story,
                self._seed,
                url,
                overseer=overseer,
                director=director,
                tell=self._tell,
            )
            cast = await casting.cast(stack, group)
            self._tell(Opened(url, cast.names))
            await self._journeys(cast, stop)
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

    async def _journeys(self, cast: Cast, stop: anyio.Event) -> None:
        """Let every buyer go, until all are through, time is up, or the run is stopped."""
        self._over = {buyer.name: anyio.Event() for buyer in cast.buyers}
        with anyio.move_on_after(seconds(self._scenario.limit)):
            async with anyio.create_task_group() as group:
                group.start_soon(_stop_early, stop, group)
                for buyer in cast.buyers:
                    group.start_soon(self._shop, buyer)
                for event in self._over.values():
                    await event.wait()
                group.cancel_scope.cancel()

    async def _shop(self, buyer: Buyer) -> None:
        await self._arrive(buyer)
        shopper = Shopper(
            buyer.client,
            policy_named(buyer.part.policy, **buyer.part.params),
            mandate_id=buyer.mandate_id,
            follow=buyer.view.follow,
        )
        try:
            await shopper.run(buyer.need)
        except MarketUnreachable:
            # Its journey stays open: the story may say so.
            pass
        except BadAnswer as error:
            self._mistakes.append(f"the market answered {buyer.name} wrongly: {error}")
        self._over[buyer.name].set()
        over = sum(event.is_set() for event in self._over.values())
        self._tell(JourneyOver(buyer.name, over, len(self._over)))

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
        await anyio.sleep(seconds(arrive.at) + buyer.number * seconds(arrive.every))

    def _judge(self, facts: Facts) -> tuple[list[ExpectationResult], Sequence[Trouble]]:
        try:
            return expectations_of(self._story, facts), ()
        except BadScenario as bad:
            return [], bad.troubles

    def _result(
        self,
        facts: Facts,
        expectations: list[ExpectationResult],
        director: Director,
        proof: Proof,
        *,
        seconds: float,
        is_interrupted: bool,
    ) -> RunResult:
        return RunResult(
            name=self._scenario.name,
            seed=self._seed,
            currency=facts.currency,
            seconds=seconds,
            events=sum(len(journey.events) for journey in facts.journeys),
            is_over=self._is_over,
            is_interrupted=is_interrupted,
            expectations=expectations,
            funnel=funnel_of(facts.journeys),
            journeys=[
                journey_result(facts, one, view=director.views[one.buyer]) for one in facts.journeys
            ],
            watchers=watchers_of(facts),
            runs=runs_of(facts),
            wallets=wallets_of(facts),
            proven=proof.summary,
            findings=list(facts.findings),
            folder=str(self._folder),
        )


async def _stop_early(stop: anyio.Event, group: anyio.abc.TaskGroup) -> None:
    await stop.wait()
    group.cancel_scope.cancel()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
