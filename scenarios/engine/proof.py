"""The proof at the end of every run: the store on disk keeps every law of the market."""

from typing import NamedTuple

from market import audit
from market.audit import Finding, Summary
from market.base.clock import Clock
from market.base.settings import Settings
from market.base.store import Store


class Proof(NamedTuple):
    """What was checked, and what was found broken: nothing, or the market has a bug."""

    summary: Summary
    findings: list[Finding]


def prove(settings: Settings, *, clock: Clock | None = None) -> Proof:
    """Open a store that nobody uses any more, and audit all of it.

    ``clock`` is that of the run, if it had one of its own: by the machine's, what it recorded
    would be of another time.
    """
    store = Store.open(settings, clock=clock)
    try:
        return Proof(store.read_now(audit.summary), store.read_now(audit.audit))
    finally:
        store.close()
