"""What was acknowledged, held against what is there after a kill."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import bindparam, func, select

from buyer_agents import MarketClient, Refused, every
from market.audit import Finding, audit
from market.base.once import answers
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.cli.local import looking
from market.orders import ENDED
from market.orders.tables import orders
from market.protocol.chain import BrokenChain, verify_chain
from market.protocol.events import Event
from market.protocol.wire import OrderView
from tests.crash.asking import Ask, Witness
from tests.crash.people import People, Person
from tests.crash.places import Place

Fault = Literal["lost", "doubled", "gap", "overdue", "broken"]

SWEEP_SECONDS: Final = 10.0
"""How long a market that came back may take to end what fell due. A turn of its chores takes one
second; a busy machine gets more."""

_RANKS: Final = {"awaiting_approval": 0, "placed": 1, "started": 2, "delivered": 3}
_OPEN: Final = Sql(
    select(func.count().label("number")).select_from(orders).where(orders.c.ended_at.is_(None))
)
_OVERDUE: Final = Sql(
    select(orders.c.id, orders.c.state, orders.c.due_at)
    .where(orders.c.ended_at.is_(None), orders.c.due_at <= bindparam("now", type_=UtcDateTime()))
    .order_by(orders.c.due_at)
    .limit(1_000)
)
_KEPT: Final = Sql(
    select(answers.c.agent_id).where(
        answers.c.agent_id == bindparam("agent_id"), answers.c.key == bindparam("key")
    )
)


class Violation(NamedTuple):
    """One thing that is not as it was promised."""

    fault: Fault
    what: str


def examine(place: Place) -> list[Violation]:
    """``market audit``, in process, over what is there now."""
    with looking(place.settings) as snapshot:
        return [_as_violation(finding) for finding in audit(snapshot)]


def done_unanswered(place: Place, people: People) -> int:
    """How many of the requests in doubt were carried out all the same: committed, not answered."""
    with looking(place.settings) as snapshot:
        return sum(
            snapshot.one(_KEPT, agent_id=person.key.kid, key=ask.key) is not None
            for person in people.persons.values()
            for ask in person.witness.in_doubt()
            if ask.key
        )


def settled_in(people: People) -> list[Violation]:
    """Before the first purchase nothing is refused: each step rests on one acknowledged."""
    return [
        Violation("lost", f"{person.witness.handle} {ask.kind}: refused as {ask.refusal}")
        for person in people.persons.values()
        for ask in person.witness.asks
        if ask.refusal
    ]


async def overdue(place: Place) -> list[Violation]:
    """Let the market sweep; return the holds that are open past their time even then."""
    end = time.monotonic() + SWEEP_SECONDS
    while _is_open(place) and time.monotonic() < end:  # noqa: ASYNC110 - another process sweeps
        await asyncio.sleep(0.05)
    with looking(place.settings) as snapshot:
        rows = snapshot.all(_OVERDUE, now=snapshot.now)
    return [
        Violation("overdue", f"order {row.id} is {row.state}; its time was over at {row.due_at}")
        for row in rows
    ]


async def prove(people: People, since: dict[str, int]) -> list[Violation]:
    """Ask again what was asked since these places, and hold all that was told against the market.

    All orders must have ended by now: a balance that moves proves nothing.
    """
    found: list[Violation] = []
    for person in people.persons.values():
        handle = person.witness.handle
        market = people.client(handle)
        found += await _ask_again(person.witness, market, since.get(handle, 0))
        if person.kind == "buyer":
            found += await _heard(handle, _prove_orders(people, person, market))
            found += await _heard(handle, _prove_notes(people, person, market))
            found += await _heard(handle, _prove_inbox(person, market))
    return found + await _heard("reviews", _prove_reviews(people))


async def _heard(whose: str, proof: Awaitable[list[Violation]]) -> list[Violation]:
    """What a proof finds. A refusal, where everything was acknowledged, is a loss by itself."""
    try:
        return await proof
    except Refused as refused:
        return [Violation("lost", f"{whose}: {refused}")]


async def _ask_again(witness: Witness, market: MarketClient, since: int) -> list[Violation]:
    """Every repeat must get the first answer (V8)."""
    found: list[Violation] = []
    for ask in witness.asks[since:]:
        if not ask.key and ask.is_answered and ask.kind != "register":
            continue
        first, again = ask, Ask(ask.kind, ask.send, ask.key)
        await again.put(market)
        if not first.is_answered:
            first.answer, first.refusal = again.answer, again.refusal
        elif (first.answer, first.refusal) != (again.answer, again.refusal):
            what = (
                f"{witness.handle} {ask.kind} {ask.key}: first {_said(first)}, now {_said(again)}"
            )
            found.append(Violation("lost", what))
    return found


async def _prove_orders(people: People, buyer: Person, market: MarketClient) -> list[Violation]:
    """The market has exactly the orders it acknowledged, as it acknowledged them, once paid."""
    told: dict[str, OrderView] = {}
    for person in people.persons.values():
        for view in person.witness.answers("place", "complete", "accept", "fail"):
            if view.buyer_id == buyer.key.kid:
                known = told.setdefault(view.id, view)
                told[view.id] = max(known, view, key=_rank)
    placed = Counter(view.id for view in buyer.witness.answers("place"))
    there = {view.id: view async for view in every(lambda cursor: market.orders(cursor=cursor))}
    found = [
        Violation("doubled", f"order {id_} answers two keys") for id_, n in placed.items() if n > 1
    ]
    found += [Violation("lost", f"order {id_} is gone") for id_ in told.keys() - there.keys()]
    found += [
        Violation("doubled", f"order {id_}: nobody was told of it")
        for id_ in there.keys() - told.keys()
    ]
    for id_ in told.keys() & there.keys():
        found += _changed(told[id_], there[id_])
    return found + await _prove_wallet(people, buyer, market, list(there.values()))


async def _prove_wallet(
    people: People, buyer: Person, market: MarketClient, there: list[OrderView]
) -> list[Violation]:
    """What was given, less what was paid, is there: nothing was charged twice, nothing lost."""
    warden = people.persons["warden"].witness
    given = sum(
        int(ask.kind.split()[2])
        for ask in warden.asks
        if ask.kind.startswith(f"fund {buyer.witness.handle} ") and ask.answer is not None
    )
    paid = sum(order.captured_minor - order.refunded_minor for order in there)
    held = sum(order.amount_minor for order in there if order.state not in ENDED)
    [balance] = (await market.wallet()).balances
    if (balance.available_minor, balance.held_minor) == (given - paid - held, held):
        return []
    fault: Fault = "doubled" if balance.available_minor < given - paid - held else "lost"
    return [
        Violation(
            fault,
            f"wallet of {buyer.witness.handle}: {given} given, {paid} paid, {held} held; "
            f"it has {balance.available_minor} and {balance.held_minor} held",
        )
    ]


async def _prove_notes(people: People, buyer: Person, market: MarketClient) -> list[Violation]:
    """Every acknowledged note stands at its offset, once; the log chains without gaps."""
    session_id = people.session_ids[buyer.witness.handle]
    log: list[Any] = []
    while (page := await market.events(session_id, after=len(log) - 1)).items:
        log += page.items
    try:
        verify_chain(log)
    except BrokenChain as error:
        return [Violation("gap", f"log {session_id}: {error}")]
    stand = [
        (event.offset, event.body["text"])
        for event in log
        if isinstance(event, Event) and event.kind == "note.written"
    ]
    asked = [ask for ask in buyer.witness.asks if ask.kind == "note"]
    told = [
        (ask.answer.first_offset, f"note {number}")
        for number, ask in enumerate(asked)
        if ask.answer is not None
    ]
    lost = [Violation("lost", f"{session_id}: {at} {text}") for at, text in set(told) - set(stand)]
    more = [
        Violation("doubled", f"{session_id}: {at} {text}") for at, text in set(stand) - set(told)
    ]
    return lost + more


async def _prove_inbox(buyer: Person, market: MarketClient) -> list[Violation]:
    """An inbox has every offset once, and one receipt a message."""
    found: list[Violation] = []
    messages: list[Any] = []
    while (page := await market.inbox(after=len(messages) - 1)).items:
        messages += page.items
    if [message.offset for message in messages] != list(range(len(messages))):
        found.append(Violation("gap", f"the inbox of {buyer.witness.handle}"))
    receipts = Counter(
        message.body["receipt_id"] for message in messages if message.kind == "receipt.issued"
    )
    doubled = [id_ for id_, number in receipts.items() if number > 1]
    return found + [Violation("doubled", f"message of receipt {id_}") for id_ in doubled]


async def _prove_reviews(people: People) -> list[Violation]:
    """Every acknowledged review is there with its words, and no other."""
    market = people.client("warden")
    there: dict[str, Any] = {}
    for service in people.services:
        pages = every(lambda cursor, at=service.id: market.reviews(at, cursor=cursor))
        there |= {view.id: view async for view in pages}
    told = {
        view.id: view
        for person in people.persons.values()
        for view in person.witness.answers("review")
    }
    return [
        Violation("lost", f"review {id_}") for id_ in told if there.get(id_) != told[id_]
    ] + [Violation("doubled", f"review {id_}") for id_ in there.keys() - told.keys()]  # fmt: skip


def _changed(told: OrderView, now: OrderView) -> Iterable[Violation]:
    """An order goes forward alone; what has ended stays as it was, but for a refund."""
    bound = ("session_id", "service_id", "buyer_id", "seller_id", "mandate_id", "amount_minor")
    ends = ("state", "captured_minor", "fee_minor", "returned_minor", "ended_at")
    for name in (*bound, "placed_at", *(ends if told.state in ENDED else ())):
        was, is_ = getattr(told, name), getattr(now, name)
        if was != is_:
            yield Violation("lost", f"order {now.id}: {name} was {was}, and is {is_}")
    if _rank(now) < _rank(told):
        yield Violation("lost", f"order {now.id} was {told.state}, and is {now.state}")
    if now.chunks_delivered < told.chunks_delivered:
        yield Violation("lost", f"order {now.id} had {told.chunks_delivered} chunks")


def _rank(order: OrderView) -> int:
    return _RANKS.get(order.state, len(_RANKS))


def _as_violation(finding: Finding) -> Violation:
    what = f"{finding.rule} {finding.where}: {finding.detail}"
    return Violation("gap" if finding.rule in ("streams", "log") else "broken", what)


def _is_open(place: Place) -> bool:
    with looking(place.settings) as snapshot:
        return bool(snapshot.one(_OPEN).number)


def _said(ask: Ask) -> str:
    return ask.refusal or repr(ask.answer)
