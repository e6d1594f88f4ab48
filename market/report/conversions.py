"""Blocks on what was shown and bought: by price, by trust, and by the order of proposals."""

from collections.abc import Sequence
from typing import Any, Final

from market import analytics
from market.report.forms import Block, Column, Material, Table, Topic, columns_of
from market.report.words import counted, money, plain, share

_PRICE: Final = Topic(
    "price",
    "Price",
    "Each service that a journey was shown counts once in it, at the price that it was shown last;"
    " it was bought if the journey has a settled order for it. Bands hold about equally many"
    " offers. The interval is where the true share lies with 95 % confidence (Wilson's).",
)
_TRUST: Final = Topic(
    "trust",
    "Trust",
    "Trust is the score, 0 to 1, that the market reported to the buyer before it paid. A service"
    " counts once in each journey that asked for it; it was bought if the journey has a settled"
    " order for it. Who is honest is known only where the scenario says so.",
)
_FIRST: Final = Topic(
    "first",
    "First proposal",
    "Of the journeys that ordered one of at least two proposals: how often it was the one that came"
    " first. By chance it would be one in as many as there were. In contested journeys the first"
    " was not the best; the best is the cheapest that fits.",
)


def price(of: Material) -> Block:
    """Tell which prices were paid."""
    tables = [
        Table(title=title, columns=_price_columns(), rows=rows)
        for title, rows in (
            ("Quoted prices, of the whole job", analytics.price_conversion(of.facts).to_dicts()),
            (
                "Listed prices, of one call or unit",
                analytics.price_conversion(of.facts, at="listed").to_dicts(),
            ),
        )
        if rows
    ]
    if not tables:
        return _PRICE.nothing("No price was shown to anybody.")
    rows = tables[0].rows
    says = [f"{counted(sum(row['shown'] for row in rows), 'offer')} with a price: {_bought(rows)}."]
    for currency in sorted({row["currency"] for row in rows if row["currency"]}):
        of_currency = [row for row in rows if row["currency"] == currency]
        if len(of_currency) > 1:
            says.append(_ends(of_currency, "cheapest", "dearest"))
    return _PRICE.found(says, *tables)


def _price_columns() -> list[Column]:
    return columns_of(
        "price_conversion",
        from_minor=("From", "money"),
        to_minor=("To", "money"),
        shown=("Shown", "count"),
        bought=("Bought", "count"),
        share=("Conversion", "share"),
        low=("At least", "share"),
        high=("At most", "share"),
    )


def trust(of: Material) -> Block:
    """Tell which trust was bought from."""
    rows = analytics.trust_conversion(of.facts, truth=of.truth).to_dicts()
    if not rows:
        return _TRUST.nothing("No buyer asked for a trust report.")
    columns = columns_of(
        "trust_conversion",
        is_honest=("Honest", "claim"),
        from_trust=("From", "number"),
        to_trust=("To", "number"),
        shown=("Shown", "count"),
        bought=("Bought", "count"),
        share=("Conversion", "share"),
        low=("At least", "share"),
        high=("At most", "share"),
    )
    if all(row["is_honest"] is None for row in rows):
        columns = columns[1:]
    says = [f"{counted(sum(row['shown'] for row in rows), 'trust report')}: {_bought(rows)}."]
    for honest, who in ((True, "honest sellers"), (False, "dishonest sellers")):
        if of_those := [row for row in rows if row["is_honest"] is honest]:
            says.append(f"Of {who}: {_bought(of_those)}.")
    bands = rows if of.truth is None else analytics.trust_conversion(of.facts).to_dicts()
    if len(bands) > 1:
        says.append(_ends(bands, "least trusted", "most trusted"))
    return _TRUST.found(says, Table(title="By reported trust", columns=columns, rows=rows))


def first(of: Material) -> Block:
    """Tell how often the first proposal won."""
    rows = analytics.first_proposal(of.facts).to_dicts()
    if not rows:
        return _FIRST.nothing("No journey ordered one of several proposals.")
    columns = columns_of(
        "first_proposal",
        policy=("Policy", "name"),
        proposal=("Proposals", "text"),
        journeys=("Journeys", "count"),
        first_won=("First won", "count"),
        share=("Share", "share"),
        low=("At least", "share"),
        high=("At most", "share"),
        chance_share=("By chance", "share"),
        contested=("Contested", "count"),
        first_over_best=("First over best", "count"),
        best_over_first=("Best over first", "count"),
    )
    says = [_first_won(rows, proposal) for proposal in ("listed", "quoted")]
    table = Table(title="First proposals that won", columns=columns, rows=rows)
    return _FIRST.found([said for said in says if said], table)


def _first_won(rows: Sequence[dict[str, Any]], proposal: str) -> str:
    of_kind = [row for row in rows if row["proposal"] == proposal]
    journeys = sum(row["journeys"] for row in of_kind)
    if not journeys:
        return ""
    won = sum(row["first_won"] for row in of_kind)
    chance = sum(row["chance_share"] * row["journeys"] for row in of_kind) / journeys
    contested, over = (sum(row[key] for row in of_kind) for key in ("contested", "first_over_best"))
    said = (
        f"The first {plain(proposal)} won in {won:,} of {counted(journeys, 'journey')}"
        f" ({share(won / journeys)}; by chance {share(chance)})"
    )
    if contested:
        said += f", and in {over:,} of the {contested:,} in which another was better"
    return f"{said}."


def _bought(rows: Sequence[dict[str, Any]]) -> str:
    shown, bought = (sum(row[key] for row in rows) for key in ("shown", "bought"))
    return f"{bought:,} of {shown:,} ({share(bought / shown)}) ended in a sale"


def _ends(rows: Sequence[dict[str, Any]], least: str, most: str) -> str:
    """Compare the first band with the last, and say whether that may be chance."""
    low, high = rows[0], rows[-1]
    if low["share"] == high["share"]:
        return f"The {least} and the {most} sold alike: {share(low['share'])} of either."
    apart = low["low"] > high["high"] or high["low"] > low["high"]
    return (
        f"Of the {least}{_price_of(low)} {share(low['share'])} were bought, of the"
        f" {most}{_price_of(high)} {share(high['share'])}; their intervals"
        f" {'do not overlap' if apart else 'overlap, so this may be chance'}."
    )


def _price_of(row: dict[str, Any]) -> str:
    if "from_minor" not in row:
        return ""
    low, high = (money(row[key], row["currency"]) for key in ("from_minor", "to_minor"))
    return f" ({low})" if low == high else f" ({low} to {high})"
