"""Audit: proof, from the rows alone, that a store is whole. It reads, and decides nothing.

A *finding* is one way in which the store is broken: the *rule* (``RULES`` says what each proves),
what is wrong, and where to look. An audit without findings is proof. The rooms check what is theirs
(``ledger.check``, ``orders.check``, ``trust.check``); the audit holds them against each other and
against the logs: escrows and mandates against orders, every movement of money against the event
that announced it, every receipt against the market's key, the order and the log's hash, and every
log against its own chain and the checkpoints over it. It reads the tables of the rooms below and
writes none.
"""

from market.audit.counting import Money, Summary, summary
from market.audit.findings import MAX_FINDINGS, RULES, Finding, Rule
from market.audit.logs import ProvenLog, audit_log, prove_log
from market.audit.service import audit

__all__ = [
    "MAX_FINDINGS",
    "RULES",
    "Finding",
    "Money",
    "ProvenLog",
    "Rule",
    "Summary",
    "audit",
    "audit_log",
    "prove_log",
    "summary",
]
