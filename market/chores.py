"""Chores: what happens because time passes. One task, over the store's own writer.

Every chore is safe to repeat and to run in any number of workers: what is due is a row, and the
verb that acts on it looks again. A chore that fails is reported and tried again at its next turn.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeVar

import structlog

from market import catalog, identity, ledger, memory, orders, rawstreams, sessions
from market.base.errors import MarketError
from market.base.once import forget_answers
from market.base.store import Store
from market.trust import batches

MAX_EXPIRED: Final = 100
"""Orders whose deadline one turn looks after, at most; the rest waits for the next turn."""

MAX_SIGNED: Final = 100
"""Checkpoints that one unit of work signs: a signature takes 50 µs of the writer's time."""

MAX_SLICES: Final = 50
"""Slices of a long piece of work that one turn does; others write between any two."""

Pause = Callable[[float], Awaitable[None]]
T = TypeVar("T")
log: Final = structlog.get_logger("market.chores")


class Chore(NamedTuple):
    """Something to do every so many turns; it returns how much there was to do."""

    name: str
    every_turns: int
    work: Callable[[Store], Awaitable[int]]


async def expire_orders(store: Store) -> int:
    """Do what passed deadlines mean: warn, cancel, fail, accept; each order in its own unit."""
    await store.write(orders.follow_leases)
    due = await store.scan(orders.due)
    happened = await _each(
        "order.not_expired",
        [store.write(orders.expire, order_id=order_id) for order_id in due[:MAX_EXPIRED]],
    )
    return sum(what != "nothing" for what in happened)


async def finish_suspensions(store: Store) -> int:
    """Go on with suspended agents: what another worker still placed, and what was too much."""
    done = 0
    for suspension in await store.scan(identity.unfinished_suspensions):
        done += await _in_slices(partial(store.write, orders.carry_through, suspension=suspension))
    return done


async def expire_disputes(store: Store) -> int:
    """Do what passed deadlines of disputes mean; each dispute in its own unit."""
    due = await store.scan(orders.due_disputes)
    happened = await _each(
        "dispute.not_expired",
        [store.write(orders.expire_dispute, dispute_id=dispute_id) for dispute_id in due],
    )
    return sum(what != "nothing" for what in happened)


async def pay_owed_refunds(store: Store) -> int:
    """Pay refunds that sellers owe, where their wallets cover them by now."""
    paid, after = 0, ""
    while owed := await store.scan(orders.owed, after=after):
        paid += sum(
            await _each(
                "refund.not_paid",
                [store.write(orders.pay_owed, order_id=order_id) for order_id in owed],
            )
        )
        after = owed[-1]
    return paid


async def answer_unanswered(store: Store) -> int:
    """Answer for workers that let a steer's deadline pass."""
    return await store.write(orders.answer_unanswered)


async def sweep_presence(store: Store) -> int:
    """Write that devices which fell silent have left their sessions."""
    return await store.write(sessions.sweep_presence)


async def answer_unheard(store: Store) -> int:
    """Answer for the actors of runs that let a steer's deadline pass."""
    return await store.write(sessions.answer_unheard)


async def renew_order_limits(store: Store) -> int:
    """Look what a typical order costs now; caps and bonds follow from it."""
    typical = await store.scan(orders.typical_order)
    if typical is None:
        return 0
    currency = store.settings.currency
    await store.write(catalog.set_order_limits, currency=currency, **typical._asdict())
    return 1


async def fold_house(store: Store) -> int:
    """Take fee and issuance postings into the house's balances."""
    return await store.write(ledger.fold_house)


async def forget_assertions(store: Store) -> int:
    """Remove the marks of used tokens that nobody could use again."""
    return await store.write(identity.forget_assertions)


async def forget_delegations(store: Store) -> int:
    """Remove delegations that nobody could use any more."""
    return await store.write(identity.forget_delegations)


async def forget_idempotency(store: Store) -> int:
    """Remove answers that were kept for repeats long enough."""
    return await store.write(forget_answers)


async def forget_quotes(store: Store) -> int:
    """Remove quotes that nobody took up, and counter-offers that came to nothing."""
    return await store.write(catalog.forget_quotes) + await store.write(catalog.forget_counters)


async def expire_counters(store: Store) -> int:
    """End the counter-offers that no seller answered in time."""
    due = await store.scan(catalog.counters_due)
    ended = await _each(
        "counter.not_expired",
        [store.write(orders.expire_counter, counter_id=counter_id) for counter_id in due],
    )
    return sum(ended)


async def sign_logs(store: Store) -> int:
    """Sign the checkpoints that logs lack: those of stores that are older than checkpoints."""
    signed, after = 0, ""
    while (found := await store.scan(sessions.checkpoints_missing, after=after)).last_id:
        for first in range(0, len(found.marks), MAX_SIGNED):
            marks = found.marks[first : first + MAX_SIGNED]
            signed += await store.write(sessions.sign_missing, marks=marks)
        after = found.last_id
    return signed


async def sweep_memory(store: Store) -> int:
    """Remove notes whose time is over."""
    return await store.write(memory.sweep)


async def see_to_wakes(store: Store) -> int:
    """Wake those who follow streams that moved, and end the leases of those who fell silent."""
    return await store.write(rawstreams.see_to)


async def sweep_streams(store: Store) -> int:
    """End raw streams whose time is over, and remove those that are gone, slice by slice."""
    return await _in_slices(partial(store.write, rawstreams.sweep))


async def weigh_trust(store: Store) -> int:
    """Weigh all facts anew when it is time; return the number of the batch, 0 if none was made."""
    if not await store.scan(batches.is_due):
        return 0
    prepared = await store.scan(batches.prepare)
    return await store.write(batches.put, prepared=prepared)


CHORES: Final = (
    Chore("suspensions.finish", 1, finish_suspensions),
    Chore("orders.expire", 1, expire_orders),
    Chore("disputes.expire", 1, expire_disputes),
    Chore("refunds.pay", 10, pay_owed_refunds),
    Chore("counters.expire", 1, expire_counters),
    Chore("controls.answer", 1, answer_unanswered),
    Chore("runs.answer", 1, answer_unheard),
    Chore("presence.sweep", 1, sweep_presence),
    Chore("house.fold", 1, fold_house),
    Chore("trust.weigh", 1, weigh_trust),
    Chore("limits.renew", 10, renew_order_limits),
    Chore("assertions.forget", 60, forget_assertions),
    Chore("delegations.forget", 60, forget_delegations),
    Chore("answers.forget", 600, forget_idempotency),
    Chore("quotes.forget", 60, forget_quotes),
    Chore("logs.sign", 600, sign_logs),
    Chore("notes.sweep", 60, sweep_memory),
    Chore("streams.sweep", 1, sweep_streams),
    Chore("wakes.see_to", 1, see_to_wakes),
)
TURN_SECONDS: Final = 1.0


async def run_chores(store: Store) -> dict[str, int]:
    """Do every chore once, now; return how much each found to do. For simulated time."""
    return {chore.name: await chore.work(store) for chore in CHORES}


async def keep_house(store: Store, *, pause: Pause = asyncio.sleep) -> None:
    """Do the chores, turn by turn, until cancelled. ``pause`` is the seam for simulated time."""
    turn = 0
    while True:
        await pause(TURN_SECONDS)
        turn += 1
        for chore in CHORES:
            if turn % chore.every_turns == 0:
                await _try(chore, store)


async def _each(refused: str, units: Sequence[Awaitable[T]]) -> list[T]:
    """Wait for units of work; return what became of those that were not refused.

    A refusal is logged as ``refused`` and keeps no other waiting; its turn comes again.
    """
    done = []
    for what in await asyncio.gather(*units, return_exceptions=True):
        if isinstance(what, MarketError):
            log.warning(refused, code=what.code, detail=what.detail)
        elif isinstance(what, BaseException):
            raise what
        else:
            done.append(what)
    return done


async def _in_slices(do_slice: Callable[[], Awaitable[int]]) -> int:
    """Do slice after slice until one finds nothing to do; return how much was done."""
    done = 0
    for _ in range(MAX_SLICES):
        found = await do_slice()
        done += found
        if not found:
            break
    return done


async def _try(chore: Chore, store: Store) -> None:
    try:
        done = await chore.work(store)
    except MarketError as refusal:
        log.warning("chore.refused", chore=chore.name, code=refusal.code, detail=refusal.detail)
    except Exception:
        # The edge of a process: one chore's bug must not end the others for good.
        log.exception("chore.failed", chore=chore.name)
    else:
        if done:
            log.debug("chore.done", chore=chore.name, done=done)
