"""Sub-agents at work: each by a delegation, with a key and a line of its own; nobody relays."""

from collections import deque
from collections.abc import Callable
from typing import Final

import anyio
from anyio.abc import TaskStatus
from msgspec import UNSET

from buyer_agents import MarketClient, MarketTrouble, Run, RunStopped, Steer, SubAgent
from market.protocol.events import Event
from market.protocol.signing import SigningKey
from scenarios.engine.agents import Reaches
from scenarios.engine.form import StepPart, SubAgentPart, run_of, seconds
from scenarios.engine.worlds import Options

_PAGE: Final = 100


class Helper:
    """One sub-agent. ``trouble`` is what ended its work too early, if anything did.

    After each step it waits for the director, and then reads what was said to it meanwhile.
    """

    def __init__(
        self,
        part: SubAgentPart,
        url: str,
        key: SigningKey,
        *,
        nonce: Callable[[], str],
        reaches: Reaches,
        options: Options,
    ) -> None:
        self.part = part
        self.trouble = ""
        self._url = url
        self._key = key
        self._nonce = nonce
        self._reaches = reaches
        self._options = options
        self._after = -1
        self._has_begun = False
        self._is_at_work = False
        self._over = anyio.Event()

    async def begin(
        self,
        buyer: MarketClient,
        session_id: str,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Let it in and do all its work; it is started once its run has begun."""
        self._has_begun = True
        try:
            jwk = self._key.public.jwk
            delegation = await buyer.delegate(session_id, jwk, run=run_of(self.part))
            sub_agent = SubAgent(
                self._url, self._key, delegation, nonce=self._nonce, **self._options
            )
            async with sub_agent:
                run = await sub_agent.run(run_of(self.part), self.part.title)
                self._after = (await sub_agent.session(session_id)).next_offset - 1
                self._is_at_work = True
                task_status.started()
                await self._work(sub_agent, run)
        except MarketTrouble as trouble:
            self.trouble = str(trouble)
            if not self._is_at_work:
                task_status.started()
        finally:
            self._over.set()

    async def over(self) -> None:
        """Wait until its work is over, if it has begun."""
        if self._has_begun:
            await self._over.wait()

    async def _work(self, sub_agent: SubAgent, run: Run) -> None:
        steps = deque(self.part.steps)
        try:
            while steps:
                await self._step(run, steps.popleft())
                await self._reaches(run.session_id, None)
                for steer in await self._said(sub_agent, run):
                    await self._heed(run, steer, steps)
        except RunStopped as stopped:
            await run.end("cancelled", f"told to stop at #{stopped.offset}")
        else:
            await run.end("done")

    async def _step(self, run: Run, step: StepPart) -> None:
        await anyio.sleep(seconds(self.part.pace))
        await run.step(step.step, step.detail, None if step.output is UNSET else step.output)

    async def _said(self, sub_agent: SubAgent, run: Run) -> list[Steer]:
        """Return what was said to the run since it looked last."""
        said = []
        while (
            page := await sub_agent.events(run.session_id, after=self._after, limit=_PAGE)
        ).items:
            self._after = page.next_offset - 1
            said += [
                Steer(entry.offset, entry.body["text"], entry.actor_id)
                for entry in page.items
                if isinstance(entry, Event)
                and entry.kind == "control.requested"
                and (entry.body["action"], entry.body.get("run")) == ("steer", run.name)
            ]
        return said

    async def _heed(self, run: Run, steer: Steer, steps: deque[StepPart]) -> None:
        """Answer a steer, and put what it asks for before all else."""
        if not self.part.steered:
            await run.answer(steer, "refused", "nothing to do about it")
            return
        await run.answer(steer, "consumed")
        steps.extendleft(reversed(self.part.steered))
