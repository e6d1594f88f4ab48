"""What would have changed lost sales, in words: from what buyers recorded, no guesses. Pure."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from statistics import median
from typing import Final, Literal, NamedTuple

from market.analytics.causes import UNSAID
from market.analytics.fates import Loss
from market.analytics.refusals import GATES, told_gate
from market.analytics.winning import Basis
from market.protocol.events import REASONS
from market.protocol.money import EXPONENTS, Money, decimal_text

MAX_DETAIL: Final = 80


class Offer(NamedTuple):
    """A lower price: as a share of the present one, and how many sales it would bring back."""

    share: Fraction
    sales: int


def best_offer(prices: Sequence[tuple[int, int]]) -> Offer:
    """Return the lower price that would bring in most.

    ``prices`` are pairs of what was asked and what would have won, of each lost sale; a sale comes
    back at its winning price or less, and then pays the lower price.
    """
    ranked = sorted(((Fraction(winning, asked), asked) for asked, winning in prices), reverse=True)
    best, best_minor, back_minor = Offer(Fraction(0), 0), Fraction(0), 0
    for sales, (share, asked) in enumerate(ranked, 1):
        back_minor += asked
        if share * back_minor > best_minor:
            best, best_minor = Offer(share, sales), share * back_minor
    return best


def remedy(lost: Sequence[Loss]) -> str:
    """Return what would have changed these losses, what would have changed most of them first."""
    by_cure: dict[_Cure, list[Loss]] = {}
    for one in lost:
        by_cure.setdefault(_cure(one), []).append(one)
    found = [cure for cure in _CURES if cure in by_cure]
    # Of equals the more certain stays first.
    found.sort(key=lambda cure: -len(by_cure[cure]))
    said: list[str] = []
    for cure in found:
        words = _said(cure, by_cure[cure])
        asked, _, rest = words.partition("; ")
        # The price that is asked is said once.
        is_known = asked.startswith("price ") and any(one.startswith(f"{asked};") for one in said)
        said.append(rest if is_known else words)
    return "; ".join(said)


_Cure = Basis | Literal["looked", "trust", "none"]
_CURES: Final[tuple[_Cure, ...]] = ("limit", "rescored", "looked", "gap", "trust", "none")
_WORDS: Final[dict[_Cure, str]] = {
    "limit": "would pay",
    "rescored": "would have preferred it at",
    # While finding nothing is chosen yet.
    "looked": "would have looked closer at",
    "gap": "went where it cost",
}
"""What buyers would do at a lower price, or did, by what that rests on."""


def _said(cure: _Cure, lost: Sequence[Loss]) -> str:
    if cure == "trust":
        return _doubted(lost)
    return _unpriced(lost) if cure == "none" else _priced(lost, _WORDS[cure])


def _cure(lost: Loss) -> _Cure:
    if lost.cause in (None, "price") and _has_price(lost) and lost.basis:
        is_looked_at = lost.basis == "rescored" and lost.stage == "finding"
        return "looked" if is_looked_at else lost.basis
    return "trust" if lost.stage == "trust_checking" and lost.trust is not None else "none"


def _has_price(lost: Loss) -> bool:
    return bool(lost.amount_minor and lost.winning_minor)


def _priced(lost: Sequence[Loss], words: str) -> str:
    prices = [(one.amount_minor or 0, one.winning_minor or 0) for one in lost]
    offer = best_offer(prices)
    asked = {price for price, _ in prices}
    if len(asked) > 1 or lost[0].currency is None:
        percent = -((offer.share - 1) * 100 // 1)
        return f"{offer.sales} {words} {percent} % less"
    currency = lost[0].currency
    amount_minor = asked.pop()
    price = _amount(amount_minor, currency)
    lower = _amount(int(amount_minor * offer.share), currency)
    return f"price {price}; {offer.sales} {words} {lower} or less"


def _amount(amount_minor: int, currency: str) -> str:
    """Return a decimal; the currency goes without saying where its decimals are known."""
    if currency in EXPONENTS:
        return decimal_text(amount_minor, currency)
    return str(Money(amount_minor, currency))


def _doubted(lost: Sequence[Loss]) -> str:
    own = median(one.trust for one in lost if one.trust is not None)
    others = [one.to_trust for one in lost if one.to_trust is not None]
    if others:
        return f"trust {own:.2f}; those taken show {median(others):.2f}"
    return f"trust {own:.2f} is not enough"


def _unpriced(lost: Sequence[Loss]) -> str:
    """The two most frequent reasons, each with the most frequent words for it."""
    said = []
    for (reason, cause), count in Counter((one.reason, one.cause) for one in lost).most_common(2):
        alike = [one for one in lost if (one.reason, one.cause) == (reason, cause)]
        if reason is None:
            said.append(_outranked(alike))
            continue
        if cause in GATES:
            said.append(told_gate(cause, [one.detail for one in alike]))
            continue
        details = Counter(one.detail for one in alike if one.detail)
        words = details.most_common(1)[0][0] if details else _meaning(reason)
        if len(words) > MAX_DETAIL:
            words = words[: MAX_DETAIL - 1].rstrip() + "…"
        said.append(f"{reason} ({count}{_paid(alike)}): {words}")
    return "; ".join(said)


def _paid(lost: Sequence[Loss]) -> str:
    """Tell of how many losses the order was paid: its buyer was not content with what came."""
    count = sum(one.paid_minor > 0 for one in lost)
    return "" if not count else ", paid" if count == len(lost) else f", {count} of them paid"


def _outranked(lost: Sequence[Loss]) -> str:
    """What put others ahead, in losses of one cause; and the price that had made up for it."""
    cause, priced = lost[0].cause, [one for one in lost if _has_price(one)]
    if cause == UNSAID:
        return f"{len(lost)} did not say why"
    if cause is None:
        return f"{len(lost)} ranked it lower, and not for its price"
    said = f"{len(lost)} ranked it lower for its {cause}"
    return f"{said} ({_priced(priced, _WORDS['rescored'])})" if priced else said


def _meaning(reason: str) -> str:
    return next((meaning for known, meaning in REASONS.items() if known == reason), reason)
