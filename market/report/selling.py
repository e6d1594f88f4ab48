"""Blocks on sellers: what became of each, and how their trust and their sales went over time."""

from collections.abc import Sequence
from typing import Any, Final

from market import analytics
from market.report.forms import Block, Column, Material, Table, Topic, columns_of
from market.report.runs import Run
from market.report.words import counted, money, name, sums

_SELLERS: Final = Topic(
    "sellers",
    "Sellers",
    "Every seller with a service or an order. What it kept is what its orders left it in wallet and"
    " bond: revenue less fees, referrals, refunds and what its bond forfeited. Its trust is the"
    " score that a buyer read last, and whether it was frozen is known by that report; of a"
    " scenario's run its result tells both of the end, too.",
)
_TRUST: Final = Topic(
    "trust-over-time",
    "Trust over time",
    "Each point is a trust report that a buyer read: the seller's score, 0 to 1, at that moment."
    " Between two points nobody looked.",
)
_SALES: Final = Topic(
    "sales-over-time",
    "Sales over time",
    "What sellers were paid out of escrow, before fees and refunds, in each span of time. Spans in"
    " which nothing was paid and no order ended have no row.",
)
_READ: Final = [
    Column("seller", "Seller", "name"),
    Column("readings", "Readings", "count", "trust reports on it that buyers read"),
    Column("first", "First", "number"),
    Column("lowest", "Lowest", "number"),
    Column("lowest_at", "Lowest at", "moment"),
    Column("highest", "Highest", "number"),
    Column("fall", "Deepest fall", "number", "the most that it lost of what was read before"),
    Column("last", "Last", "number"),
]
_AT_END: Final = [
    Column("trust_at_end", "Trust at the end", "number", "its score when the run was over"),
    Column("is_frozen_at_end", "Frozen then", "claim", "whether it was frozen when that was"),
]
_READ_LAST: Final = ("when a buyer looked last", "is_frozen")
_TELLING: Final = 0.02
"""A fall of a score that is worth a sentence."""

_SPANS: Final = {
    "1s": 1, "10s": 10, "1m": 60, "10m": 600, "1h": 3_600, "6h": 21_600, "1d": 86_400,
    "7d": 604_800,
}  # fmt: skip
_MOST_SPANS: Final = 60


def sellers(of: Material) -> Block:
    """Tell what became of each seller."""
    rows = analytics.sellers(of.facts, truth=of.truth).to_dicts()
    if not rows:
        return _SELLERS.nothing("Nobody offered a service.")
    rows.sort(key=lambda row: (-row["revenue_minor"], row["seller"] or ""))
    sold = [row for row in rows if row["sold"]]
    says = [
        f"{counted(len({row['seller_id'] for row in rows}), 'seller')},"
        f" {len({row['seller_id'] for row in sold}):,} of which sold something; they kept"
        f" {sums(rows, 'kept_minor')}."
    ]
    for honest, who in ((True, "Honest"), (False, "Dishonest")):
        if those := [row for row in rows if row["is_honest"] is honest]:
            says.append(
                f"{who} sellers settled {counted(sum(row['sold'] for row in those), 'order')} of"
                f" {sum(row['orders'] for row in those):,} and kept {sums(those, 'kept_minor')}."
            )
    says += _with_ends(rows, of.run)
    columns = columns_of(
        "sellers",
        seller=("Seller", "name"),
        is_honest=("Honest", "claim"),
        shown=("Shown", "count"),
        orders=("Orders", "count"),
        sold=("Sold", "count"),
        failed=("Failed", "count"),
        refunded=("Refunded", "count"),
        revenue_minor=("Paid", "money"),
        forfeited_minor=("Forfeited", "money"),
        kept_minor=("Kept", "money"),
        trust=("Trust", "number"),
        is_frozen=("Frozen", "claim"),
        is_suspended=("Shut out", "claim"),
    )
    unknown = {
        field
        for field in ("is_honest", "is_suspended")
        if not any(row[field] is not None and row[field] is not False for row in rows)
    }
    if of.truth is not None:
        unknown.discard("is_honest")
    shown = [column for column in columns if column.field not in unknown]
    if any("trust_at_end" in row for row in rows):
        shown += _AT_END
    return _SELLERS.found(says, Table(title="Sellers side by side", columns=shown, rows=rows))


def _with_ends(rows: list[dict[str, Any]], run: Run | None) -> list[str]:
    """Add how sellers stood at the end, where a run's own result tells it; say who is frozen."""
    stood = {one.name: one for one in run.sellers} if run else {}
    for row in rows if stood else ():
        end = stood.get(row["seller"])
        row["trust_at_end"] = float(end.trust) if end else None
        row["is_frozen_at_end"] = end.is_frozen if end else None
    when, field = ("at the end", "is_frozen_at_end") if stood else _READ_LAST
    frozen = [name(row["seller"] or row["seller_id"]) for row in rows if row[field]]
    return [f"Frozen {when}: {', '.join(frozen)}."] if frozen else []


def trust_over_time(of: Material) -> Block:
    """Tell how sellers' trust went, as buyers read it."""
    rows = analytics.trust_over_time(of.facts).to_dicts()
    if not rows:
        return _TRUST.nothing("No buyer asked for a trust report.")
    by_seller: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_seller.setdefault(row["seller_id"], []).append(row)
    read = [_read(readings) for readings in by_seller.values()]
    read.sort(key=lambda row: -row["readings"])
    says = [
        f"{counted(len(rows), 'trust report')} on {counted(len(read), 'seller')} were read."
        if len(rows) > 1
        else "1 trust report was read."
    ]
    worst = max(read, key=lambda row: row["fall"])
    if worst["fall"] >= _TELLING:
        says.append(
            f"{name(worst['seller'] or worst['seller_id'])} fell deepest: from"
            f" {worst['fell_from']:.2f} to {worst['fell_to']:.2f}; when it was read last it stood"
            f" at {worst['last']:.2f}."
        )
    columns = columns_of(
        "trust_over_time",
        seller=("Seller", "name"),
        at=("Read at (UTC)", "moment"),
        trust=("Trust", "number"),
        confidence=("Confidence", "number"),
        flags=("Warnings", "name"),
    )
    return _TRUST.found(
        says,
        Table(title="Trust as it was read, by seller", columns=_READ, rows=read),
        Table(title="Readings", columns=columns, rows=rows),
    )


def _read(readings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the readings of one seller, which are in the order of time."""
    scores = [row["trust"] for row in readings]
    peak, fell_from, fell_to = scores[0], scores[0], scores[0]
    for score in scores:
        peak = max(peak, score)
        if peak - score > fell_from - fell_to:
            fell_from, fell_to = peak, score
    lowest = min(readings, key=lambda row: row["trust"])
    return {
        "seller_id": readings[0]["seller_id"],
        "seller": readings[0]["seller"],
        "readings": len(readings),
        "first": scores[0],
        "lowest": lowest["trust"],
        "lowest_at": lowest["at"],
        "highest": max(scores),
        "fall": fell_from - fell_to,
        "fell_from": fell_from,
        "fell_to": fell_to,
        "last": scores[-1],
    }


def sales_over_time(of: Material) -> Block:
    """Tell when sellers were paid."""
    every = _every(of)
    rows = analytics.sales_over_time(of.facts, every=every).to_dicts()
    if not rows:
        return _SALES.nothing("Nothing was paid, and no order failed.")
    totals: dict[tuple[Any, Any], int] = {}
    for row in rows:
        key = (row["at"], row["currency"])
        totals[key] = totals.get(key, 0) + row["captured_minor"]
    (at, currency), most = max(totals.items(), key=lambda one: one[1])
    says = [
        f"Sellers were paid {sums(rows, 'captured_minor')}, counted in spans of {every}; most in"
        f" the one that begins at {at:%Y-%m-%d %H:%M:%S} UTC: {money(most, currency)}."
    ]
    columns = columns_of(
        "sales_over_time",
        at=("Span begins (UTC)", "moment"),
        seller=("Seller", "name"),
        captured_minor=("Paid", "money"),
        settled=("Settled", "count"),
        failed=("Failed", "count"),
    )
    rows.sort(key=lambda row: row["at"])
    return _SALES.found(says, Table(title="By span and seller", columns=columns, rows=rows))


def _every(of: Material) -> str:
    """Return the length of a span that cuts the market's time into at most sixty."""
    [seen] = analytics.overview(of.facts).to_dicts()
    if not seen["began_at"] or not seen["ended_at"]:
        return "1h"
    seconds = (seen["ended_at"] - seen["began_at"]).total_seconds()
    return next(
        (every for every, length in _SPANS.items() if seconds / length <= _MOST_SPANS), "7d"
    )
