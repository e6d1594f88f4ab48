"""The courier: sees to wakes as soon as streams move, and carries them to webhooks.

What is due is in rows, so that any number of couriers share the work, and whatever one of them
leaves undone at a crash another finds. A bell tells of wakes in this process; time and the wakes
of other workers are looked for.
"""

import asyncio
from collections import Counter
from random import Random
from typing import Final

import msgspec
import structlog

from market import identity, rawstreams
from market.base.clock import seconds_of
from market.base.errors import MarketError
from market.base.hub import Ear
from market.base.outgoing import AddressRefused, Answered, NotDelivered, Outgoing
from market.base.store import Store
from market.faces.http.answers import JSON, encode
from market.faces.streams.control import wake_tree
from market.rawstreams import ANYONE, PER_OWNER, Agenda, Delivery, Due

AT_ONCE: Final = 16
"""Webhooks that are tried at the same time."""

SUSPECTS_AT_ONCE: Final = 8
"""Those among them that were slow or failed when they were tried last."""

SLOW_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 1.0
REST_SECONDS: Final = 0.01
"""How long wakes are left to gather, where they come one after the other."""

TURNS_AT_ONCE: Final = 50

log: Final = structlog.get_logger("market.courier")


class _Done(msgspec.Struct):
    """The answer of a webhook that was done at once."""

    done: bool = False


class Courier:
    """Carries one market's wakes. One event loop uses it.

    ``calm`` is how many times rarer than else it looks for what nobody rang for.
    """

    def __init__(
        self,
        store: Store,
        outgoing: Outgoing | None = None,
        chance: Random | None = None,
        *,
        calm: float = 1.0,
    ) -> None:
        self._look_seconds = LOOK_SECONDS * calm
        self._store = store
        self._outgoing = outgoing or Outgoing(store.settings)
        self._chance = chance or Random()  # noqa: S311 - it spreads retries, and hides nothing
        self._under_way: dict[str, Due] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """See to wakes until cancelled."""
        try:
            with self._store.hub.listen(rawstreams.BELL) as ear:
                while True:
                    ear.take(-1)
                    await ear.wait(await self._turn(ear))
                    await asyncio.sleep(REST_SECONDS)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _turn(self, ear: Ear) -> float:
        """Do what there is to do; return how many seconds may pass before the next look."""
        try:
            agenda = await self._store.read(rawstreams.agenda)
            if agenda.has_wakes:
                await see_to_wakes(self._store)
                agenda = await self._store.read(rawstreams.agenda)
            for due in agenda.due:
                if self._has_room(due):
                    self._start(due, ear)
            return self._pause(agenda)
        except MarketError as refusal:
            log.warning("courier.refused", code=refusal.code, detail=refusal.detail)
        except Exception:
            # The edge of a process: one bug must not end all deliveries for good.
            log.exception("courier.failed")
        return self._look_seconds

    def _pause(self, agenda: Agenda) -> float:
        if agenda.next_at is None:
            return self._look_seconds
        left = (agenda.next_at - self._store.clock.now()).total_seconds()
        return min(max(left, REST_SECONDS), self._look_seconds)

    def _has_room(self, due: Due) -> bool:
        others = self._under_way.values()
        suspects = sum(other.is_suspect for other in others)
        owners = Counter(other.owner_id for other in others)
        return (
            not self._store.hub.is_draining
            and due.subscription_id not in self._under_way
            and len(self._under_way) < AT_ONCE
            and owners[due.owner_id] < PER_OWNER
            and not (due.is_suspect and suspects >= SUSPECTS_AT_ONCE)
        )

    def _start(self, due: Due, ear: Ear) -> None:
        self._under_way[due.subscription_id] = due
        task = asyncio.create_task(self._carry(due))
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            del self._under_way[due.subscription_id]
            ear.wake()

        task.add_done_callback(done)

    async def _carry(self, due: Due) -> None:
        try:
            delivery = await self._store.write(rawstreams.take, subscription_id=due.subscription_id)
            if delivery is None:
                return
            if await self._may_be_told(due.owner_id):
                await self._deliver(delivery)
            else:
                await self._note_failed(delivery)
        except MarketError as refusal:
            log.warning("courier.refused", code=refusal.code, detail=refusal.detail)
        except Exception:
            # The edge of a task: the attempt counts as failed when its time is over.
            log.exception("courier.failed")

    async def _deliver(self, delivery: Delivery) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await self._post(delivery)
        if answer is None or not 200 <= answer.status < 300:
            await self._note_failed(delivery)
            return
        await self._store.write(
            rawstreams.note_delivered,
            subscription_id=delivery.subscription_id,
            generation=delivery.generation,
            is_done=_is_done(answer),
            is_slow=loop.time() - began > SLOW_SECONDS,
        )

    async def _may_be_told(self, owner_id: str) -> bool:
        """Whether an owner is not shut out at the moment."""
        if owner_id == ANYONE:
            return True
        try:
            await self._store.read(identity.caller_of, agent_id=owner_id, scopes=())
        except (identity.InvalidToken, identity.Suspended):
            return False
        return True

    async def _note_failed(self, delivery: Delivery) -> None:
        await self._store.write(
            rawstreams.note_failed,
            subscription_id=delivery.subscription_id,
            generation=delivery.generation,
            chance=self._chance.random(),
        )

    async def _post(self, delivery: Delivery) -> Answered | None:
        body = encode(wake_tree(self._store.settings, delivery))
        signer = rawstreams.webhook_signer(self._store.signer)
        seconds = seconds_of(self._store.clock.now())
        headers = {
            "content-type": JSON,
            "webhook-signature": signer.signature(body, seconds=seconds),
        }
        try:
            return await self._outgoing.post(delivery.url, body=body, headers=headers)
        except (NotDelivered, AddressRefused) as failure:
            log.info(
                "webhook.failed",
                subscription_id=delivery.subscription_id,
                generation=delivery.generation,
                reason=str(failure),
            )
            return None


async def see_to_wakes(store: Store) -> int:
    """Wake those whose streams moved, and those whose leases ended; return how many there were."""
    done = 0
    for _ in range(TURNS_AT_ONCE):
        seen = await store.write(rawstreams.see_to)
        if not seen:
            break
        done += seen
    return done


def _is_done(answer: Answered) -> bool:
    try:
        return msgspec.json.decode(answer.body or b"", type=_Done).done
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
