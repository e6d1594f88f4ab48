"""What would have changed lost sales, in words: from what buyers recorded, no guesses. Pure."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from statistics import median
from typing import Final, Literal, NamedTuple

from market.analytics.fates import Basis, Loss
from market.protocol.events import REASONS
from market.protocol.money import decimal_text

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
    """Return what would have changed these losses, which are of one stage."""
    by_cure: dict[str, list[Loss]] = {}
    for one in lost:
        by_cure.setdefault(_cure(one), []).append(one)
    said = [_priced(by_cure[basis], words) for basis, words in _WORDS.items() if basis in by_cure]
    if "trust" in by_cure:
        said.append(_doubted(by_cure["trust"]))
    if "none" in by_cure:
        said.append(_unpriced(by_cure["none"]))
    return "; ".join(said)


_WORDS: Final[dict[Basis, str]] = {
    "limit": "would pay",
    "rescored": "would have preferred it at",
    "gap": "went where it cost",
}
"""What buyers would do at a lower price, or did, by what that rests on."""

_LOOKED: Final = "would have looked closer at"
"""What they would have done while finding: there nothing is chosen yet."""


def _cure(lost: Loss) -> Basis | Literal["trust", "none"]:
    if lost.basis and lost.amount_minor and lost.winning_minor:
        return lost.basis
    return "trust" if lost.stage == "trust_checking" and lost.trust is not None else "none"


def _priced(lost: Sequence[Loss], words: str) -> str:
    prices = [(one.amount_minor or 0, one.winning_minor or 0) for one in lost]
    offer = best_offer(prices)
    if lost[0].basis == "rescored" and lost[0].stage == "finding":
        words = _LOOKED
    asked = {price for price, _ in prices}
    if len(asked) > 1 or lost[0].currency is None:
        percent = -((offer.share - 1) * 100 // 1)
        return f"{offer.sales} {words} {percent} % less"
    currency = lost[0].currency
    amount_minor = asked.pop()
    price = decimal_text(amount_minor, currency)
    lower = decimal_text(int(amount_minor * offer.share), currency)
    return f"price {price}; {offer.sales} {words} {lower} or less"


def _doubted(lost: Sequence[Loss]) -> str:
    own = median(one.trust for one in lost if one.trust is not None)
    others = [one.to_trust for one in lost if one.to_trust is not None]
    if others:
        return f"trust {own:.2f}; those taken show {median(others):.2f}"
    return f"trust {own:.2f} is not enough"


def _unpriced(lost: Sequence[Loss]) -> str:
    """The two most frequent reasons, each with the most frequent words for it."""
    said = []
    for reason, count in Counter(one.reason for one in lost).most_common(2):
        if reason is None:
            said.append(f"{count} ranked it lower, and not for its price")
            continue
        details = Counter(one.detail for one in lost if one.reason == reason and one.detail)
        words = details.most_common(1)[0][0] if details else _meaning(reason)
        if len(words) > MAX_DETAIL:
            words = words[: MAX_DETAIL - 1].rstrip() + "…"
        said.append(f"{reason} ({count}): {words}")
    return "; ".join(said)


def _meaning(reason: str) -> str:
    return next((meaning for known, meaning in REASONS.items() if known == reason), reason)
