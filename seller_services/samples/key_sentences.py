"""A sample seller: picks the key sentences of each section of a text, one chunk per section.

Sentences of a section vote for each other by the words they share, weighted by how rare a word is
among the sections of the whole text (TextRank: Mihalcea and Tarau, 2004).
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import log
from pathlib import Path
from typing import Any, Final

from seller_services.handling import CannotDeliver, Chunk, Order
from seller_services.measure import share_of
from seller_services.samples.sentences import sections, sentences, words
from seller_services.seller import Seller

ROUNDS: Final = 30
DAMPING: Final = 0.85
KEYWORDS: Final = 5
STEER: Final = re.compile(r"\b([1-5]) sentences?\b")
MAX_VOTERS: Final = 400
"""Sentences of one section that are compared; later ones are not picked."""

seller = Seller(Path(__file__).with_suffix(".toml"), key="key-sentences.key")


@seller.handle
def pick(order: Order) -> Iterator[Chunk]:
    """Yield the best sentences of each section, in their order, with the section's key words.

    Steered by a text like "3 sentences", it picks that many of each section from there on.
    """
    parts = sections(order.input["text"])
    if not parts:
        raise CannotDeliver("the text is empty")
    wanted = order.input.get("sentences", 1)
    rarity = rarities([set(words(part)) for part in parts])
    for number, part in enumerate(parts):
        for text in order.steering.take():
            found = STEER.search(text)
            wanted = int(found[1]) if found else wanted
        units = share_of(order.units, part=number, parts=len(parts))
        yield Chunk({"section": number, **pick_from(part, wanted, rarity)}, units)


def rarities(bags: Sequence[set[str]]) -> dict[str, float]:
    """Return the weight of each word: 1 if every section has it, more the fewer do."""
    counts = Counter(word for bag in bags for word in bag)
    return {word: 1 + log(len(bags) / count) for word, count in counts.items()}


def pick_from(section: str, wanted: int, rarity: dict[str, float]) -> dict[str, Any]:
    """Return the ``wanted`` best sentences of a section and its most telling words."""
    found = sentences(section)
    bags = [words(sentence) for sentence in found[:MAX_VOTERS]]
    scores = votes(bags, rarity)
    best = sorted(range(len(scores)), key=lambda place: (-scores[place], place))[:wanted]
    counts = Counter(word for bag in bags for word in bag)
    telling = sorted(counts, key=lambda word: (-counts[word] * rarity[word], word))
    return {
        "sentences": [found[place] for place in sorted(best)],
        "of": len(found),
        "keywords": telling[:KEYWORDS],
    }


def votes(bags: Sequence[list[str]], rarity: dict[str, float]) -> list[float]:
    """Return the rank of each sentence, given its words."""
    links: list[dict[int, float]] = [{} for _ in bags]
    for one, other in combinations(range(len(bags)), 2):
        if weight := likeness(bags[one], bags[other], rarity):
            links[one][other] = links[other][one] = weight
    out = [sum(row.values()) for row in links]
    ranks = [1.0] * len(bags)
    for _ in range(ROUNDS):
        ranks = [
            1 - DAMPING + DAMPING * sum(w * ranks[other] / out[other] for other, w in row.items())
            for row in links
        ]
    return ranks


def likeness(one: list[str], other: list[str], rarity: dict[str, float]) -> float:
    """Return how much two sentences say the same, set off against their length."""
    shared = set(one) & set(other)
    if not shared:
        return 0.0
    # Sorted, so that the sum does not depend on the order of a set.
    return sum(rarity[word] for word in sorted(shared)) / (log(1 + len(one)) + log(1 + len(other)))


if __name__ == "__main__":
    seller.run()
