"""A journey as lines that people read: what each event says, in words."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec

from market.cli import aftermath
from market.protocol.chain import Entry
from market.protocol.events import STAGES, Event, Stage, Withheld
from market.protocol.folded import Folded, FoldedOrder
from market.protocol.money import EXPONENTS, decimal_text

STAGE_NAMES: Final[dict[Stage, str]] = {
    "finding": "Find",
    "evaluating": "Evaluate",
    "trust_checking": "Trust",
    "transacting": "Pay",
    "using": "Use",
    "recommending": "Recommend",
}
"""The stages as they stand in a timeline."""

_CONTROL: Final = "ctrl"
MARKS: Final = {"passed": "✓", "left": "✗", "open": "●"}
_AGENT_ID: Final = re.compile(r"\b[\w-]{43}\b")
_SHORT: Final = 8
_PREVIEW: Final = 58

Body = Mapping[str, Any]


class Line(NamedTuple):
    """One event in words: the stage it belongs to, a word for what happened, and the case."""

    stage: str
    word: str
    text: str


class Teller:
    """Puts events into words. ``names`` are agents by id; the unknown are shown by their ids."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._currency = "XTS"

    def name(self, agent_id: str) -> str:
        """Return what an agent is called."""
        return self._names.get(agent_id, agent_id[:_SHORT])

    def line(self, entry: Entry) -> Line:
        """Return one entry of a log in words."""
        if isinstance(entry, Withheld):
            return Line("", "withheld", "not for this reader")
        describe = _WORDS.get(entry.kind)
        if describe is None:
            word, text = entry.kind, _preview(entry.body)
        else:
            self._currency = entry.body.get("currency", self._currency)
            word, text = describe(self, entry)
        stage = STAGE_NAMES[entry.stage] if entry.stage else ""
        return Line(_CONTROL if entry.kind.startswith("control.") else stage, word, text)

    def known(self, folded: Folded) -> list[tuple[str, str]]:
        """Return what a log comes to: how each stage went, orders and runs, a word for each."""
        decisions = [
            (STAGE_NAMES.get(cast(Stage, one.stage), one.stage), _named(self, one.detail))
            for one in folded.decisions
        ]
        orders = [
            ("order", f"{order.slug}: {order.state.replace('_', ' ')}, {self._share(order)}")
            for order in folded.orders.values()
        ]
        runs = [
            ("run", f"{name}: {run.outcome or 'at work'}, {_count(len(run.steps), 'step')}")
            for name, run in folded.runs.items()
        ]
        return decisions + orders + runs

    def _share(self, order: FoldedOrder) -> str:
        self._currency = order.currency
        held = self.money(order.amount_minor)
        return f"{held} held, {order.units_delivered} of {_count(order.units, 'unit')}"

    def money(self, amount_minor: int) -> str:
        """Return an amount in the currency of the last event that named one."""
        if self._currency not in EXPONENTS:
            return f"{amount_minor} minor {self._currency}"
        return f"{decimal_text(amount_minor, self._currency)} {self._currency}"


def _opened(teller: Teller, event: Event) -> tuple[str, str]:
    principal = event.body["principal_id"]
    acting = f", for {teller.name(principal)}" if principal else ""
    return "opened", f"{teller.name(event.body['buyer_id'])} needs: {event.body['need']}{acting}"


def _listed(teller: Teller, event: Event) -> tuple[str, str]:
    services = event.body["services"]
    told = ", ".join(f"{one['slug']} {teller.money(one['amount_minor'])}" for one in services[:4])
    more = f" and {len(services) - 4} more" if len(services) > 4 else ""
    return "listed", f"{len(services)} found: {told}{more}" if services else "nothing found"


def _quoted(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    price = teller.money(body["amount_minor"])
    return "quoted", f"{body['slug']}: {price} for {_count(body['units'], 'unit')}"


def _reported(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    flags = f"; {', '.join(body['flags'])}" if body["flags"] else ""
    return "reported", (
        f"{body['slug']}: score {body['score']:.2f}, confidence {body['confidence']:.2f}{flags}"
    )


def _decided(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    if body["outcome"] == "leave":
        return "✗ left", f"{body['reason']}: {_named(teller, body['detail'])}"
    return "✓ passed", _named(teller, body["detail"])


def _placed(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    price = teller.money(body["amount_minor"])
    return "ordered", f"{body['slug']}: {price} held for {_count(body['units'], 'unit')}"


def _started(teller: Teller, event: Event) -> tuple[str, str]:
    return "started", f"{teller.name(event.body['seller_id'])} is at work"


def _chunk(teller: Teller, event: Event) -> tuple[str, str]:
    return f"chunk {event.body['index']}", _preview(event.body["output"])


def _stalled(teller: Teller, event: Event) -> tuple[str, str]:
    return "● stalled", f"no sign of life of the seller; fails at {event.body['fails_at'][11:19]}"


def _present(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    word = "joined" if event.kind == "presence.joined" else "present"
    return word, f"{teller.name(body['agent_id'])} on {body['device']}: {body['status']}"


def _gone(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    how = "left" if body["reason"] == "left" else "no sign any more"
    return "gone", f"{teller.name(body['agent_id'])} on {body['device']}: {how}"


def _completed(teller: Teller, event: Event) -> tuple[str, str]:
    chunks, units = _count(event.body["chunks"], "chunk"), _count(event.body["units"], "unit")
    return "complete", f"{chunks}, {units}, digest {event.body['digest'][:_SHORT]}…"


def _accepted(teller: Teller, event: Event) -> tuple[str, str]:
    return "accepted", f"by the {event.body['by']}"


def _released(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    captured, units = teller.money(body["captured_minor"]), _count(body["units"], "unit")
    return "released", f"part {body['part']}: {captured} paid so far, {units} delivered"


def _countered(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    asked, quoted = teller.money(body["amount_minor"]), teller.money(body["quoted_minor"])
    return "countered", f"{body['slug']}: {asked} in place of {quoted}, round {body['round']}"


def _bargained(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    if event.kind != "quote.answered":
        return str(body["state"]), f"{body['slug']}: {body['detail']}"
    agreed = teller.money(body["answered_minor"])
    return "answered", f"{body['slug']}: {agreed}, signed by {teller.name(event.actor_id)}"


def _settled(teller: Teller, event: Event) -> tuple[str, str]:
    return "settled", _split(teller, event.body)


def _cancelled(teller: Teller, event: Event) -> tuple[str, str]:
    return "cancelled", f"{event.body['reason']}: {_split(teller, event.body)}"


def _failed(teller: Teller, event: Event) -> tuple[str, str]:
    return "failed", f"{event.body['reason']}: {_split(teller, event.body)}"


def _refunded(teller: Teller, event: Event) -> tuple[str, str]:
    return "refunded", f"{teller.money(event.body['refunded_minor'])}: {event.body['reason']}"


def _requested(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    said = body["text"] or body["reason"]
    asked = f"{_of_run(event)}asked by {teller.name(event.actor_id)}"
    return body["action"], asked + (f": {said}" if said else "")


def _answered(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    return body["answer"], f"{_of_run(event)}{body['action']}. {body['detail']}".rstrip(". ") + "."


def _of_run(event: Event) -> str:
    return f"run {event.body['run']}: " if "run" in event.body else ""


def _delegated(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    limits = f", in the run {body['run']} alone" if body["run"] else ""
    may = ", ".join(body["actions"])
    who = f"{teller.name(event.actor_id)} lets {teller.name(body['delegate_id'])} {may}"
    return "delegated", f"{who}{limits}, until {body['expires_at'][11:19]}"


def _undelegated(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    who = f"{teller.name(body['delegate_id'])} is out"
    return "revoked", f"{who}, says {teller.name(event.actor_id)}: {body['reason']}"


def _run_started(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    part = f", part of {body['parent']}" if body["parent"] else ""
    return "run", f"{body['run']} by {teller.name(event.actor_id)}: {body['title']}{part}"


def _stepped(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    again = f" (attempt {body['attempt']})" if body["attempt"] > 1 else ""
    told = body["detail"] or (_preview(body["output"]) if body["output"] else "")
    return "step", f"{body['run']} / {body['step']}{again}" + (f": {told}" if told else "")


def _run_ended(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    mark = MARKS["passed"] if body["outcome"] == "done" else MARKS["left"]
    said = f": {body['detail']}" if body["detail"] else ""
    return f"{mark} {body['outcome']}", f"{body['run']}{said}"


def _approval_asked(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    amount, over = teller.money(body["amount_minor"]), teller.money(body["approval_over_minor"])
    return "● waiting", f"{amount} is above {over}: a human must approve"


def _approval_given(teller: Teller, event: Event) -> tuple[str, str]:
    return event.kind.partition(".")[2], _by(teller, event)


def _reviewed(teller: Teller, event: Event) -> tuple[str, str]:
    return "reviewed", f"{event.body['verdict']}: {event.body['comment']}".rstrip(": ")


def _recommended(teller: Teller, event: Event) -> tuple[str, str]:
    to = ", ".join(map(teller.name, event.body["recipient_ids"]))
    return "told", f"recommends {event.body['slug']} to {to}"


def _by(teller: Teller, event: Event) -> str:
    reason = event.body.get("reason")
    return f"by {teller.name(event.actor_id)}" + (f": {reason}" if reason else "")


def _split(teller: Teller, body: Body) -> str:
    """Say where the held money went."""
    captured, fee = teller.money(body["captured_minor"]), teller.money(body["fee_minor"])
    return f"{captured} paid (fee {fee}), {teller.money(body['returned_minor'])} returned"


def _named(teller: Teller, text: str) -> str:
    """Put names in the place of agent ids."""
    return _AGENT_ID.sub(lambda found: teller.name(found[0]), text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _preview(body: Body) -> str:
    """Return the beginning of a body in one line, what is short before what is long."""
    members = sorted(body.items(), key=lambda member: isinstance(member[1], list | dict))
    text = ", ".join(f"{name}: {_plain(value)}" for name, value in members)
    return text if len(text) <= _PREVIEW else f"{text[: _PREVIEW - 1]}…"


def _plain(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ", ".join(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return " ".join(text.split())


_WORDS: Final[dict[str, Callable[[Teller, Event], tuple[str, str]]]] = {
    "session.opened": _opened,
    "session.closed": lambda _, event: ("closed", event.body["reason"]),
    "session.forked": lambda _, event: (
        "forked",
        f"from {event.body['source_session_id']} at #{event.body['source_offset']}",
    ),
    "finding.listed": _listed,
    "evaluating.read": lambda _, event: ("read", f"the manifest of {event.body['slug']}"),
    "evaluating.quoted": _quoted,
    "quote.countered": _countered,
    "quote.answered": _bargained,
    "quote.declined": _bargained,
    "quote.expired": _bargained,
    "trust.reported": _reported,
    "decision.made": _decided,
    "order.placed": _placed,
    "order.started": _started,
    "order.stalled": _stalled,
    "order.accepted": _accepted,
    "order.released": _released,
    "order.settled": _settled,
    "order.cancelled": _cancelled,
    "order.failed": _failed,
    "order.refunded": _refunded,
    "delivery.chunk": _chunk,
    "delivery.completed": _completed,
    "delegation.given": _delegated,
    "delegation.revoked": _undelegated,
    "run.started": _run_started,
    "run.step": _stepped,
    "run.ended": _run_ended,
    "control.requested": _requested,
    "control.answered": _answered,
    "approval.requested": _approval_asked,
    "approval.granted": _approval_given,
    "approval.denied": _approval_given,
    "approval.expired": _approval_given,
    "presence.joined": _present,
    "presence.changed": _present,
    "presence.left": _gone,
    "review.posted": _reviewed,
    "recommendation.sent": _recommended,
    **aftermath.WORDS,
}


def _duration(seconds: float) -> str:
    return f"{1000 * seconds:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"


def ticks(stages: Iterable[tuple[Stage, str, float]]) -> str:
    """Return the six stages in one line: passed, left, open or not reached, with their seconds."""
    reached = {stage: (outcome, seconds) for stage, outcome, seconds in stages}
    parts = []
    for stage in STAGES:
        if stage in reached:
            outcome, seconds = reached[stage]
            parts.append(f"{STAGE_NAMES[stage]} {MARKS[outcome]} {_duration(seconds)}")
        else:
            parts.append(f"{STAGE_NAMES[stage]} ·")
    return "  ".join(parts)
