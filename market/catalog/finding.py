"""Search: candidates from the full-text index, filtered by the database, then ranked."""

from typing import Any, Final

from sqlalchemy import BigInteger, Text, bindparam, cast, column, func, or_, select, table, text
from sqlalchemy.sql.selectable import Select

from market import trust
from market.base.clock import rfc3339
from market.base.paging import decode_cursor, encode_cursor
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot
from market.catalog.caps import seller_gates
from market.catalog.exploring import Place, page_of_ranked
from market.catalog.freezing import FROZEN
from market.catalog.ranking import (
    MAX_CANDIDATES,
    MAX_SCANNED,
    Ranked,
    SearchQuery,
    asked_words,
    match_texts,
    rank,
)
from market.catalog.resembling import RESEMBLES, look_alikes
from market.catalog.tables import services
from market.protocol.wire import FoundView, Page

_COLUMNS: Final = [
    services.c[name]
    for name in (
        "id", "slug", "seller_id", "seller_handle", "summary", "tags", "price_per", "unit",
        "amount_minor", "currency", "p95_ms", "refund", "named_words", "summary_words",
        "prose_words",
    )
]  # fmt: skip

QUICK_SERVICES: Final = 40
"""Among so many a search takes at most a millisecond: less than it costs to have a thread do it."""

_PLACE: Final = (str, float, int, str, int)
"""The types of a ``Place``."""

_words = table("services_fts", column("rowid"), column("number"), column("rank"), column("words"))
_tag = bindparam("tag", type_=Text())
_max_price_minor = bindparam("max_price_minor", type_=BigInteger())
_max_p95_ms = bindparam("max_p95_ms", type_=BigInteger())
_refund = bindparam("refund", type_=Text())
_now = bindparam("now", type_=UtcDateTime())


def _listed(place_in: Any, *more: Any) -> Select[Any]:
    """What passes the filters; ``place_in(text, part)`` is above zero if ``part`` is there."""
    return select(*_COLUMNS, *more).where(
        services.c.state == "listed",
        # Tags are bare words, so a quoted one stands in the JSON text only as a whole member.
        or_(_tag.is_(None), place_in(services.c.tags, _tag) > 0),
        or_(_max_price_minor.is_(None), services.c.amount_minor <= _max_price_minor),
        or_(_max_p95_ms.is_(None), services.c.p95_ms <= _max_p95_ms),
        or_(_refund.is_(None), services.c.refund == _refund),
        # A price that has run out is not quoted, so nobody looks at it.
        or_(services.c.price_until.is_(None), services.c.price_until > _now),
    )


def _best(matching: Select[Any]) -> Select[Any]:
    """The candidates among matching services: those with the lowest ``misfit``."""
    seen = matching.limit(MAX_SCANNED).subquery("seen")
    return (
        select(*[seen.c[column.name] for column in _COLUMNS])
        .order_by(seen.c.misfit, seen.c.id)
        .limit(MAX_CANDIDATES)
    )


_LAST: Final = Sql(select(func.max(services.c.number).label("number")))
_NEWEST: Final = Sql.per_dialect(
    sqlite=_listed(func.instr).order_by(services.c.number.desc()).limit(MAX_CANDIDATES),
    postgresql=_listed(func.strpos).order_by(services.c.number.desc()).limit(MAX_CANDIDATES),
)
_match = cast(bindparam("match", type_=Text()), Text)
_asked = func.to_tsquery(text("'simple'"), _match)
_MATCHING: Final = Sql.per_dialect(
    sqlite=_best(
        _listed(func.instr, _words.c.rank.label("misfit"))
        .join(_words, _words.c.rowid == services.c.number)
        .where(text("services_fts MATCH :match"))
    ),
    postgresql=_best(
        _listed(func.strpos, (-func.ts_rank(_words.c.words, _asked)).label("misfit"))
        .join(_words, _words.c.number == services.c.number)
        .where(_words.c.words.op("@@")(_asked))
    ),
)


def quick_search(
    snapshot: Snapshot, *, query: SearchQuery, lot: str = ""
) -> Page[FoundView] | None:
    """Return what ``search`` does, or None if an event loop had better not wait for it.

    That is so on SQLite where more than ``QUICK_SERVICES`` were ever published.
    """
    if snapshot.dialect == "sqlite":
        last = snapshot.one(_LAST)
        if last.number is not None and last.number > QUICK_SERVICES:
            return None
    return search(snapshot, query=query, lot=lot)


def search(snapshot: Snapshot, *, query: SearchQuery, lot: str = "") -> Page[FoundView]:
    """Return a page of listed services that fit, best first, with the parts of their scores.

    ``lot`` says for whom (a session, or an agent): ties are shuffled, and the places for newcomers
    given, by a lot that is drawn from it, the query and the day (``catalog.exploring``).

    The order and the score are those of ``catalog.ranking``. It weighs at most ``MAX_CANDIDATES``
    services that pass the filters of price, tag, latency and refund: first those that have every
    word of the query, then those that have any (without words, the newest), and drops those below
    ``min_trust``. So a list ends after that many, and the time that a search takes hardly grows
    with the number of services.
    """
    key = decode_cursor(query.cursor, _PLACE)
    words = asked_words(query.q)
    if query.q.strip() and not words:
        return Page(items=[], next=None)
    rows = _rows(snapshot, query, words)
    trust_by_seller = trust.scores(snapshot, seller_ids=sorted({row.seller_id for row in rows}))
    ranked = [
        found
        for found in rank(rows, words=words, trust=trust_by_seller)
        if query.min_trust is None or found.parts["trust"] >= query.min_trust
    ]
    gates = seller_gates(snapshot, seller_ids=sorted(trust_by_seller))
    place = None if key is None else Place(*key)
    shown = page_of_ranked(
        ranked,
        newcomers=gates.newcomers,
        seed=[lot, *words, *_said(query)],
        day=rfc3339(snapshot.now)[:10] if place is None else place.day,
        place=place,
        limit=query.limit,
    )
    alike = look_alikes(rows)
    return Page(
        items=[_view(found, _flags(found.row, gates.frozen, alike)) for found in shown.items],
        next=None if shown.next is None else encode_cursor(shown.next),
    )


def _said(query: SearchQuery) -> list[str]:
    """The filters of a query, as text."""
    names = ("tag", "max_price_minor", "min_trust", "max_p95_ms", "refund")
    return [f"{name}={getattr(query, name)}" for name in names]


def _rows(snapshot: Snapshot, query: SearchQuery, words: list[str]) -> list[Any]:
    filters = {
        "tag": query.tag and f'"{query.tag}"',
        "max_price_minor": query.max_price_minor,
        "max_p95_ms": query.max_p95_ms,
        "refund": query.refund,
        "now": snapshot.now,
    }
    if not words and query.tag is None:
        return snapshot.all(_NEWEST, **filters)
    found: dict[str, Any] = {}
    for each in match_texts(snapshot.dialect, words=words, tag=query.tag):
        if len(found) < MAX_CANDIDATES:
            rows = snapshot.all(_MATCHING, match=each, **filters)
            found |= {row.id: row for row in rows}
    return list(found.values())[:MAX_CANDIDATES]


def _flags(row: Any, frozen: frozenset[str], alike: frozenset[str]) -> list[str]:
    noticed = ((FROZEN, row.seller_id in frozen), (RESEMBLES, row.id in alike))
    return [flag for flag, is_so in noticed if is_so]


def _view(found: Ranked, flags: list[str]) -> FoundView:
    row = found.row
    return FoundView(
        service_id=row.id,
        slug=row.slug,
        seller_id=row.seller_id,
        seller_handle=row.seller_handle,
        summary=row.summary,
        tags=row.tags,
        price_per=row.price_per,
        amount_minor=row.amount_minor,
        currency=row.currency,
        unit=row.unit,
        p95_ms=row.p95_ms,
        refund=row.refund,
        trust=found.parts["trust"],
        score=found.score,
        parts=found.parts,
        flags=flags,
    )
