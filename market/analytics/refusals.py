"""Refusals of the market's gates, as buyers noted them where no order could be made. Pure.

A buyer files them under ``other``: no reason of the closed list says that the market itself let a
seller have no such order. What stood in the way is in its words, which begin with the refusal.
"""

import re
from collections.abc import Sequence
from typing import Final

from market.catalog import SMALL_ORDERS, OrderCapExceeded, SellerFrozen

CAPPED: Final = OrderCapExceeded.code
FROZEN: Final = SellerFrozen.code
GATES: Final = frozenset({CAPPED, FROZEN})
"""Causes that are gates of the market, by the codes of their refusals."""

_TITLES: Final = {OrderCapExceeded.title: CAPPED, SellerFrozen.title: FROZEN}
_REFUSAL: Final = re.compile(rf"(?:\d{{3}} )?({'|'.join(map(re.escape, _TITLES))})\b")
_CAP: Final = re.compile(r"\bup to (\d+(?:\.\d+)?) ([A-Z]{3})\b")


def gate_in(words: str) -> str | None:
    """Return the gate that a buyer met by its words: one of ``GATES``; None if it met none."""
    found = _REFUSAL.match(words)
    return _TITLES[found[1]] if found else None


def told_gate(gate: str, details: Sequence[str]) -> str:
    """Return what would have opened a gate; ``details`` are the words of those that met it."""
    count = len(details)
    if gate == FROZEN:
        return (
            f"{count} found it frozen for its failures: until {SMALL_ORDERS} small orders in a row"
            f" end well it has {SMALL_ORDERS} at a time"
        )
    wanted = f"{count} wanted a larger order than the market let it have then"
    return f"{wanted}{_caps(details)}: smaller orders, or more sales first, as that grows with them"


def _caps(details: Sequence[str]) -> str:
    """Return the largest orders that were allowed: one, or the least and the most of them."""
    found = {(float(cap[1]), cap[1], cap[2]) for words in details if (cap := _CAP.search(words))}
    if not found:
        return ""
    (_, low, currency), (_, high, _) = min(found), max(found)
    return f", {low} {currency}" if low == high else f", {low} to {high} {currency}"
