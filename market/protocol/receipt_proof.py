"""Proof of a receipt from the log that it sums up, by anyone, without the market.

A receipt names a range of offsets and the hash at its end. Since each event's hash covers the one
before, that one signed hash covers every event of the range. What the receipt says of amounts,
units and the delivery is then reckoned anew from those events.
"""

from typing import Any, Final

import msgspec

from market.protocol.canonical import sha256_text
from market.protocol.commitments import ReceiptClaims
from market.protocol.delivery import chain
from market.protocol.events import Event
from market.protocol.logfile import NotAnEntry, read_entry, text_of
from market.protocol.proving import Anchor, Flaw, LogProof

_ENDINGS: Final = ("order.settled", "order.cancelled", "order.failed")
_AMOUNTS: Final = ("captured_minor", "fee_minor", "returned_minor")


class ReceiptReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a log proves of a receipt.

    ``flaws``: where the range is not what was signed. ``disagreements``: what the receipt says and
    the events do not. ``notes``: what could not be checked.
    """

    receipt_id: str
    order_id: str
    session_id: str
    first_offset: int
    last_offset: int
    entries: int
    flaws: list[Flaw]
    disagreements: list[str]
    notes: list[str]


class ReceiptProof:
    """Takes the lines of a file that keeps a log, in their order; ``report`` says what they prove.

    Entries of other sessions, and those before and behind the receipt's range, may lie there too.
    ``has_entries``: whether one was not of another session.
    """

    def __init__(self, claims: ReceiptClaims) -> None:
        self.claims = claims
        self._proof = LogProof(
            claims.session_id, wanted=[claims.last_offset], first_offset=claims.first_offset
        )
        self.has_entries = False
        self._has_begun = False
        self._has_ended = False
        self._events: list[Event] = []
        self._issued: Event | None = None

    def take_bytes(self, line: bytes) -> None:
        """Take the next line."""
        try:
            entry = read_entry(line)
        except NotAnEntry:
            if self._has_begun and not self._has_ended:
                self._proof.take_bytes(line)
            return
        if isinstance(entry, Event):
            if entry.session_id != self.claims.session_id:
                return
            if entry.body.get("receipt_id") == self.claims.receipt_id:
                self._issued = entry
        self.has_entries = True
        self._has_begun = self._has_begun or entry.offset >= self.claims.first_offset
        self._has_ended = self._has_ended or entry.offset > self.claims.last_offset
        if self._has_begun and not self._has_ended:
            event = self._proof.take_bytes(line)
            if event is not None and event.order_id == self.claims.order_id:
                self._events.append(event)

    def report(self) -> ReceiptReport:
        """Return what the lines prove of the receipt."""
        claims = self.claims
        found = self._proof.report([Anchor(claims.last_offset, claims.log_hash)])
        said: list[str] = []
        notes: list[str] = []
        if not found.flaws:
            said += _unbalanced(claims)
            if any(event.kind == "order.placed" for event in self._events):
                said += _differences(claims, _told(self._events))
            elif found.withheld:
                notes.append("the order's events are withheld from this reader: amounts unchecked")
            else:
                said.append("no event of the range places the order")
        if self._issued is None:
            notes.append("the event that names the receipt is not in the file: it comes after it")
        elif sha256_text(text_of(self._issued)) != self._issued.hash:
            said.append(f"the event that names it, #{self._issued.offset}, was changed")
        else:
            said += _differences(claims, _settled(self._issued))
        return ReceiptReport(
            receipt_id=claims.receipt_id,
            order_id=claims.order_id,
            session_id=claims.session_id,
            first_offset=claims.first_offset,
            last_offset=claims.last_offset,
            entries=found.entries,
            flaws=found.flaws,
            disagreements=said,
            notes=notes,
        )


def _told(events: list[Event]) -> dict[str, Any]:
    """Return what the events of an order say, under the names that a receipt has for it."""
    told: dict[str, Any] = {"units": 0, "delivery_digest": None}
    digest, units = "", 0
    for event in events:
        body = event.body
        if event.kind == "order.placed":
            told |= {
                "buyer_id": event.actor_id,
                "seller_id": body.get("seller_id"),
                "service_id": body.get("service_id"),
                "held_minor": body.get("amount_minor"),
                "currency": body.get("currency"),
                "first_offset": event.offset,
            }
        elif event.kind == "delivery.chunk":
            digest = chain(digest, body.get("output"))
            units += body.get("units", 0)
            told |= {"units": units, "delivery_digest": digest}
        elif event.kind in _ENDINGS:
            told |= {name: body.get(name) for name in _AMOUNTS}
            # What ended before there were shares says nothing of them.
            told["referral_minor"] = body.get("referral_minor", 0)
    return told


def _settled(issued: Event) -> dict[str, Any]:
    """Return what the event says that names the receipt."""
    is_later = issued.kind in ("order.refunded", "dispute.resolved")
    names = ("refunded_minor",) if is_later else _AMOUNTS
    told = {name: issued.body.get(name) for name in (*names, "currency")}
    outcome = issued.kind.partition(".")[2]
    return {**told, "outcome": outcome, "order_id": issued.order_id}


def _differences(claims: ReceiptClaims, told: dict[str, Any]) -> list[str]:
    return [
        f"{name}: the receipt says {getattr(claims, name)}, the events say {value}"
        for name, value in told.items()
        if getattr(claims, name) != value
    ]


def _unbalanced(claims: ReceiptClaims) -> list[str]:
    """Return where a receipt contradicts itself."""
    said = []
    if claims.held_minor != claims.captured_minor + claims.returned_minor:
        said.append("what was captured and returned is not what was held")
    if claims.fee_minor > claims.captured_minor:
        said.append("the fee is more than what was captured")
    if claims.refunded_minor > claims.captured_minor:
        said.append("more was refunded than captured")
    return said
