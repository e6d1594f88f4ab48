"""Identifiers: a typed prefix and a UUIDv7 in base32 (TypeID 0.3, RFC 9562).

``ord_01h455vb4pex5vsknk084sn02q`` says what it names, sorts by creation, and needs no counter.
An agent's id is the exception: it is the thumbprint of its first key (RFC 7638).
"""

import random
from collections.abc import Callable
from typing import Annotated, Final

from msgspec import Meta

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"

PREFIXES: Final = {
    "svc": "service",
    "qte": "quote",
    "mdt": "mandate",
    "ord": "order",
    "rcp": "receipt",
    "dsp": "dispute",
    "ctr": "counter-offer",
    "acc": "account",
    "txn": "transaction",
    "ses": "session",
    "rev": "review",
    "rec": "recommendation",
    "req": "request",
    "str": "stream",
    "sub": "subscription to streams",
    "wak": "wake of a subscription",
}
"""Every prefix the market mints, and the noun it stands for."""

_PAIRS: Final = [high + low for high in ALPHABET for low in ALPHABET]


def _pattern(prefix: str) -> str:
    return rf"^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}\Z"


AgentId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z", description="RFC 7638 thumbprint")]
ServiceId = Annotated[str, Meta(pattern=_pattern("svc"))]
QuoteId = Annotated[str, Meta(pattern=_pattern("qte"))]
MandateId = Annotated[str, Meta(pattern=_pattern("mdt"))]
ReviewId = Annotated[str, Meta(pattern=_pattern("rev"))]
OrderId = Annotated[str, Meta(pattern=_pattern("ord"))]
ReceiptId = Annotated[str, Meta(pattern=_pattern("rcp"))]
CounterId = Annotated[str, Meta(pattern=_pattern("ctr"))]
DisputeId = Annotated[str, Meta(pattern=_pattern("dsp"))]
SessionId = Annotated[str, Meta(pattern=_pattern("ses"))]


class Ids:
    """A source of ids that rise with time, even within one millisecond.

    ``milliseconds`` is the clock and ``chance`` the random source: with a simulated clock and a
    seeded generator the same ids come again. Ids are names, not secrets; authority is checked.
    """

    def __init__(self, milliseconds: Callable[[], int], chance: random.Random) -> None:
        self._milliseconds = milliseconds
        self._chance = chance
        self._last = 0

    def new(self, prefix: str) -> str:
        """Return the next id under ``prefix``, greater as text than every earlier one."""
        # 48 bits of time and 12 of sequence are one counter: a full millisecond borrows the next.
        self._last = max(self._last + 1, self._milliseconds() << 12)
        milliseconds, sequence = self._last >> 12, self._last & 0xFFF
        # Two halves of 58 and 70 bits: arithmetic on them is twice as fast as on all 128.
        high = milliseconds << 10 | 0x7 << 6 | sequence >> 6
        low = (sequence & 0x3F) << 64 | 0b10 << 62 | self._chance.getrandbits(62)
        return f"{prefix}_{_base32(high, 60)}{_base32(low, 70)}"


def _base32(number: int, bits: int) -> str:
    return "".join([_PAIRS[(number >> shift) & 0x3FF] for shift in range(bits - 10, -1, -10)])
