"""The life of a dispute, and what the log decides of one at once. Pure.

A dispute is *open* until the seller answers, *answered* until somebody decides, and *resolved* for
good. Where the log decides, a dispute is resolved in the moment in which it is opened.
"""

from typing import Final, Literal, NamedTuple

from market.orders.errors import WrongDisputeState
from market.protocol.wire import DisputeReason, DisputeState

Decider = Literal["policy", "seller", "overseer", "deadline", "buyer"]

MOVES: Final[dict[str, dict[DisputeState, DisputeState]]] = {
    "concede": {"open": "resolved"},
    "contest": {"open": "answered"},
    "decide": {"open": "resolved", "answered": "resolved"},
    "withdraw": {"open": "resolved", "answered": "resolved"},
    "lapse": {"open": "resolved", "answered": "resolved"},
}
"""What each move makes of each state that it may start from; nothing leaves ``resolved``."""

REASONS: Final[dict[DisputeReason, str]] = {
    "not_as_described": "the delivery is not what the manifest describes: people decide",
    "schema": "a part does not fit the manifest's output schema: the log decides",
    "digest": "a part is not the one that was signed for: the log decides",
    "late": "it came behind its deadline: the log decides",
    "incomplete": "units are missing: the log decides as far as units were counted",
    "duplicate_charge": "the same was paid twice: the log decides unless it shows a second order",
    "other": "said in the detail: people decide",
}
"""Why an order is disputed: the closed list, and what decides each."""


class Part(NamedTuple):
    """A chunk that a dispute points to, checked anew."""

    offset: int
    units: int
    fits: bool
    is_as_digested: bool


class Known(NamedTuple):
    """What the market's own records say of a disputed order.

    ``units`` had to come; ``counted_minor`` is what those that came earn by themselves.
    ``is_twin``: the evidence names another order of the buyer for the same input.
    """

    stake_minor: int
    counted_minor: int
    units: int
    units_delivered: int
    delivered_text: str
    parts: tuple[Part, ...] = ()
    is_twin: bool = False


class Ruling(NamedTuple):
    """What goes back to the buyer, and why, in a sentence."""

    refund_minor: int
    words: str


def move(state: DisputeState, verb: str) -> DisputeState:
    """Return the state after ``verb``.

    Raises:
        WrongDisputeState: the dispute cannot make this move from where it is.
    """
    after = MOVES[verb].get(state)
    if after is None:
        allowed = ", ".join(MOVES[verb])
        raise WrongDisputeState(
            f"The dispute is {state}; '{verb}' needs one that is {allowed}.", state=state
        )
    return after


def rule(reason: DisputeReason, claim_minor: int, known: Known) -> Ruling | None:
    """Return what the log decides of a dispute; None where people must.

    What goes back is never more than what is claimed.
    """
    ruling = _RULES[reason](known) if reason in _RULES else None
    if ruling is None:
        return None
    return ruling._replace(refund_minor=min(ruling.refund_minor, claim_minor))


def at_deadline(state: DisputeState, claim_minor: int, conceded_minor: int) -> Ruling:
    """Return what a deadline that has passed means: silence concedes, an open question does not."""
    if state == "open":
        return Ruling(claim_minor, "the seller did not answer in time: the claim stands")
    words = "nobody decided in time: what the seller did not concede falls"
    return Ruling(conceded_minor, words)


def _late(known: Known) -> Ruling:
    return Ruling(0, f"it was in time: {known.delivered_text}")


def _incomplete(known: Known) -> Ruling | None:
    missing = known.units - known.units_delivered
    if not missing:
        return None
    words = f"{missing} of {known.units} units are missing"
    # Where only delivered units are paid for, nothing is at stake for those that are missing.
    return Ruling(max(known.stake_minor - known.counted_minor, 0), words)


def _schema(known: Known) -> Ruling:
    broken = [part for part in known.parts if not part.fits]
    return _broken(known, broken, "break the manifest's output schema")


def _digest(known: Known) -> Ruling:
    broken = [part for part in known.parts if not part.is_as_digested]
    return _broken(known, broken, "differ from what was signed for")


def _broken(known: Known, broken: list[Part], words: str) -> Ruling:
    if not broken:
        return Ruling(0, f"none of {len(known.parts)} parts was found to {words}")
    units = sum(part.units for part in broken)
    # Parts that count no units spoil the whole: nobody can say how much they are.
    refund_minor = (
        -(-known.stake_minor * units // known.units_delivered)
        if units and known.units_delivered
        else known.stake_minor
    )
    return Ruling(refund_minor, f"{len(broken)} of {len(known.parts)} parts {words}")


def _duplicate(known: Known) -> Ruling | None:
    if known.is_twin:
        return None
    return Ruling(0, "the ledger has one payment for this order, and no twin of it was named")


_RULES: Final = {
    "late": _late,
    "incomplete": _incomplete,
    "schema": _schema,
    "digest": _digest,
    "duplicate_charge": _duplicate,
}
