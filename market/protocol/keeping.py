"""What a fold keeps of a log, however long it is: the newest, within bounds.

What participants wrote is theirs: it may be of any form. What is not of its own is passed over.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from market.protocol.events import Event
from market.protocol.folded import Folded, FoldedOrder, FoldedRun, FoldedStep

MAX_ITEMS: Final = 100
"""Orders, runs, controls, approvals, decisions and devices present, of each, at most."""

MAX_HELD_BYTES: Final = 512 * 1024
"""Outputs of deliveries and steps of runs, as JSON, at most."""

MAX_WORDS: Final = 500
"""Letters of a reason or detail that are kept."""

MAX_NAME: Final = 200
"""Letters of what names a run, a step or an agent; what is longer is not folded."""

_STEP_BYTES: Final = 200
"""What a step takes beside its words and output, about."""

Holder = TypeVar("Holder", FoldedOrder, FoldedRun)
_encode: Final = msgspec.json.Encoder().encode


def make_room(folded: Folded, parts: dict[str, Holder], is_over: Callable[[Holder], bool]) -> None:
    """Let go of the oldest part that is over, or else of the oldest, if there are too many."""
    if len(parts) >= MAX_ITEMS:
        over = (name for name, part in parts.items() if is_over(part))
        drop(folded, parts, next(over, next(iter(parts))))
        folded.left_out += 1


def drop(folded: Folded, parts: dict[str, Holder], name: str) -> None:
    """Let go of one part, with what it holds."""
    folded.held_bytes -= parts.pop(name).held_bytes


def bound(folded: Folded, parts: dict[Any, Any] | list[Any]) -> None:
    """Let go of the oldest part, if there are too many."""
    if len(parts) > MAX_ITEMS:
        del parts[next(iter(parts)) if isinstance(parts, dict) else 0]
        folded.left_out += 1


def hold(folded: Folded, holder: FoldedOrder | FoldedRun, size: int) -> None:
    """Note that ``holder`` carries so many bytes more; if they are too many, the oldest go."""
    holder.held_bytes += size
    folded.held_bytes += size
    while folded.held_bytes > MAX_HELD_BYTES:
        holders: list[FoldedOrder | FoldedRun] = [*folded.orders.values(), *folded.runs.values()]
        oldest = min((one for one in holders if one.held_bytes), key=lambda one: one.first_offset)
        folded.held_bytes -= oldest.held_bytes
        oldest.held_bytes = 0
        if isinstance(oldest, FoldedOrder):
            oldest.outputs = None
        else:
            oldest.steps_left_out += len(oldest.steps)
            oldest.steps.clear()


def weight(output: Any) -> int:
    """Return the bytes that an output takes."""
    return len(_encode(output)) + 1


def weight_of(step: FoldedStep) -> int:
    """Return the bytes that a step takes, about."""
    return weight(step.output) + weight(step.detail) + _STEP_BYTES


def name_in(event: Event, member: str) -> str:
    """Return a name in an event's body, "" for none."""
    value = event.body.get(member)
    return value if isinstance(value, str) and len(value) <= MAX_NAME else ""


def words_in(event: Event, member: str) -> str:
    """Return the beginning of a text in an event's body, "" for none."""
    value = event.body.get(member)
    return value[:MAX_WORDS] if isinstance(value, str) else ""


def whole_in(event: Event, member: str) -> int:
    """Return a whole number in an event's body, 0 for none."""
    value = event.body.get(member)
    return value if type(value) is int else 0
