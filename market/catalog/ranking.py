"""How search reads words and ranks what it found. Pure; the database only brings the candidates.

Words are runs of letters and digits, without case, accents and plural endings; each word of a
query is looked for at the start of the words of a service. The score of a service is

    0.4 text + 0.4 trust + 0.2 price

``text``: over the words of the query, the mean of 1.0 for a word in the slug or the tags, 0.7 in
the summary, 0.2 in the description or the names of its input and output. A word counts once,
however often it stands there, so stuffing a text gains nothing, and no text outweighs trust and
price (``security.md`` S17). ``trust``: the seller's score. ``price``: the lowest price among the
candidates that charge by the same unit, divided by this one; 0.5 where one seller alone charges
so, since there is nothing to compare with. Tiers compare with prices per unit, by their dearest
(``protocol.pricing.compared_minor``). All are rounded to four decimals; ties go by id.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from market.base.paging import Cursor, Limit
from market.base.sql import Dialect
from market.protocol.manifest import Manifest
from market.protocol.money import MAX_MINOR
from market.protocol.text import PLAIN, Tag

WEIGHTS: Final = {"text": 0.4, "trust": 0.4, "price": 0.2}
"""What each part of a score weighs."""

MAX_WORDS: Final = 16
MAX_CANDIDATES: Final = 200
"""How many services a search weighs."""

MAX_SCANNED: Final = 1_000
"""How many services with the words the database looks at to choose the candidates."""

_NAMED: Final = 1.0
_SUMMARY: Final = 0.7
_PROSE: Final = 0.2
_ALONE: Final = 0.5
_PREFIX_FROM: Final = 3
_MAX_WORD: Final = 40
_MAX_INDEXED: Final = 400
_WORD: Final = re.compile(r"[^\W_]+")
_STOP: Final = {
    "a", "an", "and", "are", "as", "at", "by", "for", "from", "i", "in", "into", "is", "it", "me",
    "my", "need", "of", "on", "or", "that", "the", "this", "to", "want", "with",
}  # fmt: skip


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to find: words, filters, and a place in the list. An absent filter does not filter."""

    q: Annotated[str, Meta(max_length=200, pattern=PLAIN)] = ""
    tag: Tag | None = None
    max_price_minor: Annotated[int, Meta(ge=1, le=MAX_MINOR)] | None = None
    min_trust: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_p95_ms: Annotated[int, Meta(ge=1, le=86_400_000)] | None = None
    refund: Annotated[str, Meta(max_length=32, pattern=r"^[a-z-]+\Z")] | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class IndexedWords(NamedTuple):
    """The words of a service, by how much they tell: each field is words with spaces between."""

    named_words: str
    summary_words: str
    prose_words: str


class Ranked(NamedTuple):
    """A candidate (a row of ``services``) with its score and the parts of it."""

    row: Any
    score: float
    parts: dict[str, float]


def words_of(text: str) -> list[str]:
    """Return the words of a text as the index keeps them."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return [word[:_MAX_WORD] for word in _WORD.findall(bare)]


def asked_words(text: str) -> list[str]:
    """Return the stems that a query looks for: no filler, each once, at most ``MAX_WORDS``.

    A query of nothing but filler keeps it.
    """
    words = words_of(text)
    telling = [word for word in words if word not in _STOP] or words
    return list(dict.fromkeys(map(_stem, telling)))[:MAX_WORDS]


def index_words(manifest: Manifest) -> IndexedWords:
    """Return the words under which a manifest is found."""
    names = [
        name for schema in (manifest.input, manifest.output) for name in _property_names(schema)
    ]
    return IndexedWords(
        named_words=_joined([manifest.id, *manifest.tags]),
        summary_words=_joined([manifest.summary]),
        prose_words=_joined([manifest.description, *names]),
    )


def match_texts(dialect: Dialect, *, words: Sequence[str], tag: str | None) -> list[str]:
    """Return the database's own queries: for services with all the words, and for those with any.

    Every query asks for the words of the tag besides, among the named ones. Words are bare letters
    and digits, quoted, so nothing in them can be read as syntax.
    """
    if dialect == "sqlite":
        any_of, all_of = " OR ", " AND "
        terms = [f'"{word}"*' if _is_stem(word) else f'"{word}"' for word in words]
        named = [f'named_words : "{word}"' for word in words_of(tag or "")]
    else:
        any_of, all_of = " | ", " & "
        terms = [f"'{word}':*" if _is_stem(word) else f"'{word}'" for word in words]
        named = [f"'{word}':A" for word in words_of(tag or "")]
    queries = [all_of.join([*terms, *named])]
    if len(terms) > 1:
        queries.append(all_of.join([f"({any_of.join(terms)})", *named]))
    return queries


def rank(rows: Iterable[Any], *, words: Sequence[str], trust: Mapping[str, float]) -> list[Ranked]:
    """Return the candidates, best first."""
    rows = list(rows)
    cheapest = _cheapest(rows)
    sought = [f" {word}" if _is_stem(word) else f" {word} " for word in words]
    ranked = [
        _scored(row, _text_part(row, sought), trust[row.seller_id], _price_part(row, cheapest))
        for row in rows
    ]
    return sorted(ranked, key=lambda found: (-found.score, found.row.id))


def _scored(row: Any, text: float, trust: float, price: float) -> Ranked:
    parts = {"text": round(text, 4), "trust": round(trust, 4), "price": round(price, 4)}
    score = sum([WEIGHTS[name] * part for name, part in parts.items()])
    return Ranked(row, round(score, 4), parts)


def _text_part(row: Any, sought: Sequence[str]) -> float:
    """What the words of a query, each with a space before it, are worth in a service's texts."""
    if not sought:
        return 0.0
    named, summary, prose = f" {row.named_words} ", f" {row.summary_words} ", f" {row.prose_words} "
    total = 0.0
    for word in sought:
        if word in named:
            total += _NAMED
        elif word in summary:
            total += _SUMMARY
        elif word in prose:
            total += _PROSE
    return total / len(sought)


def _cheapest(rows: Sequence[Any]) -> dict[tuple[str, str | None], int]:
    """The lowest price by each unit that at least two sellers charge by."""
    sellers: dict[tuple[str, str | None], set[str]] = {}
    lowest: dict[tuple[str, str | None], int] = {}
    for row in rows:
        unit = _charges_by(row)
        sellers.setdefault(unit, set()).add(row.seller_id)
        lowest[unit] = min(lowest.get(unit, row.amount_minor), row.amount_minor)
    return {unit: amount for unit, amount in lowest.items() if len(sellers[unit]) > 1}


def _price_part(row: Any, cheapest: Mapping[tuple[str, str | None], int]) -> float:
    lowest = cheapest.get(_charges_by(row))
    return _ALONE if lowest is None else lowest / row.amount_minor


def _charges_by(row: Any) -> tuple[str, str | None]:
    """What prices are compared within: tiers are prices of a unit too."""
    return ("unit" if row.price_per == "tiers" else row.price_per), row.unit


def _is_stem(word: str) -> bool:
    """Whether longer words that begin so are meant too; in Chinese two letters are a word."""
    return len(word) >= _PREFIX_FROM or not word.isascii()


def _stem(word: str) -> str:
    """Cut the commonest plural endings, so that what is left begins both forms."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3]
    if len(word) > 4 and word.endswith(("xes", "ches", "shes", "sses")):
        return word[:-2]
    if len(word) > 4 and word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _property_names(schema: Mapping[str, Any]) -> list[str]:
    properties = schema.get("properties")
    return list(properties) if isinstance(properties, dict) else []


def _joined(texts: Iterable[str]) -> str:
    words = dict.fromkeys(word for text in texts for word in words_of(text))
    return " ".join(list(words)[:_MAX_INDEXED])
