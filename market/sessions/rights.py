"""Who may see what in a session: pure rules over an event's audience and a viewer's part in it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from market.base.caller import Caller
from market.base.work import Entry
from market.protocol.commitments import AgentKind
from market.protocol.events import Audience


class Viewer(NamedTuple):
    """A reader of one session.

    An owner (buyer, principal, overseer) sees everything; a seller sees its own orders, and what
    is for all. A sub-agent stands where its delegator does, narrowed to the delegation's order, if
    it names one; ``is_buyers`` is the owner's sub-agent that sees of one order what an owner sees.
    """

    agent_id: str
    is_owner: bool
    order_ids: frozenset[str]
    is_buyers: bool = False


class Head(msgspec.Struct, gc=False):
    """The members of a stored event that decide who sees it."""

    offset: int
    kind: str
    audience: Audience
    order_id: str | None
    hash: str


_GIVING: Final = frozenset({"order.placed", "approval.granted"})
"""Kinds of events with which a seller joins a session for an order."""

_HEAD: Final = msgspec.json.Decoder(Head)


def head_of(entry: Entry) -> Head:
    """Return the head of a stored event, read once for all its readers."""
    head: Head | None = entry.views.get("head")
    if head is None:
        head = entry.views["head"] = _HEAD.decode(entry.data)
    return head


def need_to_act(caller: Caller) -> None:
    """Let pass a token that lets its agent, not a sub-agent, write into sessions and intervene.

    Raises:
        InsufficientScope: it does not.
    """
    caller.need("order" if caller.kind in ("buyer", "seller") else "oversee")


def need_to_read(caller: Caller) -> None:
    """Let pass a token that lets its agent, or sub-agent, read sessions.

    Raises:
        InsufficientScope: it does not.
    """
    caller.need("read" if caller.delegation is None else "session.read")


def need_to_write(caller: Caller) -> None:
    """Let pass a token that lets its agent, or sub-agent, write into sessions.

    Raises:
        InsufficientScope: it does not.
    """
    if caller.delegation is None:
        need_to_act(caller)
    else:
        caller.need("session.write")


def need_to_control(caller: Caller) -> None:
    """Let pass a token that lets its agent, or sub-agent, intervene in sessions.

    Raises:
        InsufficientScope: it does not.
    """
    if caller.delegation is None:
        need_to_act(caller)
    else:
        caller.need("session.control")


def rank_of(caller: Caller, viewer: Viewer) -> AgentKind:
    """Return as what a caller intervenes in a session: a sub-agent as a buyer, or as a seller."""
    if caller.kind in ("principal", "overseer"):
        return caller.kind
    return "buyer" if viewer.is_owner or viewer.is_buyers else "seller"


def may_see(head: Head, viewer: Viewer) -> bool:
    """Whether the viewer gets the event itself, and not the stub that stands for it."""
    if viewer.is_owner or head.audience == "all":
        return True
    is_shown = head.audience == "order" or viewer.is_buyers
    return is_shown and head.order_id in viewer.order_ids


def gives_more(viewer: Viewer, entries: Sequence[Entry]) -> bool:
    """Whether these events may have given a seller an order: its part is to be looked up again."""
    if viewer.is_owner or viewer.is_buyers:
        return False
    heads = map(head_of, entries)
    return any(head.kind in _GIVING and head.order_id not in viewer.order_ids for head in heads)


def shown(entry: Entry, viewer: Viewer) -> bytes:
    """Return the JSON that this viewer gets at the entry's offset."""
    if viewer.is_owner or may_see(head := head_of(entry), viewer):
        return entry.data
    stub: bytes | None = entry.views.get("stub")
    if stub is None:
        stub = entry.views["stub"] = msgspec.json.encode(
            {"offset": head.offset, "withheld": True, "hash": head.hash}
        )
    return stub
