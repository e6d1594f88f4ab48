"""What an audit finds, and the rules that it proves."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

Rule = Literal[
    "ledger",
    "escrow",
    "holds",
    "movements",
    "aftermath",
    "mandates",
    "orders",
    "receipts",
    "answers",
    "log",
    "checkpoints",
    "streams",
    "trust",
]

RULES: Final[dict[Rule, str]] = {
    "ledger": "postings sum to zero, balances are their sums, nothing but the house is negative",
    "escrow": "an open order's escrow holds its price, an ended order's nothing, to the last unit",
    "holds": "no order was open past its time when the store last wrote, but for a sweep",
    "movements": "money moved as the log says, in the same commit, between the order's own parties",
    "aftermath": "refunds add up to what went back, disputes and redos are as order and log say",
    "mandates": "a mandate's counters are what its orders cost, less what came back",
    "orders": "an order's row, its chunks and its log agree; an ending is the last of its turns",
    "receipts": "receipts are signed by the market and agree with the order and the log",
    "answers": "what was answered under an idempotency key is there, as it was told",
    "log": "a session's events chain from the first to the head, as the market once signed them",
    "checkpoints": "every 1,000th event and every close of a session bear the market's signature",
    "streams": "every stream has exactly the entries that it counted",
    "trust": "what is kept of sellers and buyers is what the recorded facts amount to",
}
"""Every rule, and what it proves when it finds nothing."""

MAX_FINDINGS: Final = 1_000
"""Findings after which an audit stops looking."""

MAX_ROWS: Final = 100
"""Rows that one query for what is broken returns, at most."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which the store is broken: which rule, what is wrong, and where to look."""

    rule: Rule
    detail: str
    where: str


def from_lines(rule: Rule, lines: Iterable[str]) -> list[Finding]:
    """Return the lines of a room's own check as findings; ``where`` is what stands before ": "."""
    findings = []
    for line in lines:
        where, colon, detail = line.partition(": ")
        findings.append(
            Finding(rule=rule, detail=detail, where=where)
            if colon
            else Finding(rule=rule, detail=line, where=rule)
        )
    return findings
