"""What would have changed lost sales, in words: from what buyers recorded, no guesses. Pure."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from statistics import median
from typing import Final, NamedTuple

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
    shares = {Fraction(winning, asked) for asked, winning in prices}

    def back(share: Fraction) -> list[int]:
        return [asked for asked, winning in prices if Fraction(winning, asked) >= share]

    best = max(shares, key=lambda share: (share * sum(back(share)), share))
    return Offer(best, len(back(best)))


def remedy(lost: Sequence[Loss]) -> str:
    """Return what would have changed these losses, which are of one stage."""
    said: list[str] = []
    rest = list(lost)
    for basis, words in _WORDS.items():
        priced = [
            one for one in rest if one.basis == basis and one.amount_minor and one.winning_minor
        ]
        if priced:
            said.append(_priced(priced, words))
        rest = [one for one in rest if one not in priced]
    doubted = [one for one in rest if one.stage == "trust_checking" and one.trust is not None]
    if doubted:
        said.append(_doubted(doubted))
    rest = [one for one in rest if one not in doubted]
    if rest:
        said.append(_unpriced(rest))
    return "; ".join(said)


_WORDS: Final[dict[Basis, str]] = {
    "limit": "would pay",
    "rescored": "would have ranked it high enough at",
    "gap": "took one for",
}
"""What buyers would have done at a lower price, by what that rests on."""


def _priced(lost: Sequence[Loss], words: str) -> str:
    prices = [(one.amount_minor or 0, one.winning_minor or 0) for one in lost]
    offer = best_offer(prices)
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
    """The most frequent reason, with the most frequent words for it."""
    [(reason, count)] = Counter(one.reason for one in lost).most_common(1)
    if reason is None:
        return f"{count} ranked it lower, and not for its price"
    details = Counter(one.detail for one in lost if one.reason == reason and one.detail)
    words = details.most_common(1)[0][0] if details else _meaning(reason)
    if len(words) > MAX_DETAIL:
        words = words[: MAX_DETAIL - 1].rstrip() + "…"
    return f"{reason} ({count}): {words}"


def _meaning(reason: str) -> str:
    return next((meaning for known, meaning in REASONS.items() if known == reason), reason)
