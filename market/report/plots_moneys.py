"""Plots on money: where revenue went, and what was spent of what might have been."""

from typing import Any, Final

import altair as alt

from market.report.drawing import MAX_BARS, Row, amount, colours, data, labels, main_currency
from market.report.forms import Block
from market.report.theme import ROW, WIDTH, light
from market.report.words import money

_PARTS: Final = {
    "kept": "passed",
    "fees and referrals": "second",
    "refunded": "left",
    "forfeited": "third",
}


def earned(block: Block) -> alt.TopLevelMixin:
    """Draw a bar for each seller: what of its revenue it kept, and where the rest went.

    What a seller forfeited beyond its revenue stands on the other side of 0.
    """
    currency = main_currency(block.rows)
    rows = [row for row in block.rows if row["currency"] == currency][:MAX_BARS]
    names = labels([row["seller"] or row["seller_id"] for row in rows])
    pieces: list[Row] = []
    for seller, row in zip(names, rows, strict=True):
        kept, refunded, lost = row["kept_minor"], row["refunds_minor"], row["forfeited_minor"]
        beyond = min(kept, 0)
        rest = row["revenue_minor"] - kept - refunded - lost
        minor = (max(kept, 0), rest, refunded, lost + beyond)
        pieces += [
            {"seller": seller, "outcome": part, "order": at, "amount": amount(value, currency)}
            for at, (part, value) in enumerate(zip(_PARTS, minor, strict=True))
        ]
        if beyond:
            less = amount(beyond, currency)
            pieces.append({"seller": seller, "outcome": "forfeited", "order": 0, "amount": less})
    whose = alt.Y("seller:N", sort=names, title=None)
    shown = f", the first {len(rows)}" if len(rows) < len(block.rows) else ""
    losses = " (below 0: forfeited beyond it)" if any(row["kept_minor"] < 0 for row in rows) else ""
    title = f"revenue, {currency}{losses}{shown}"
    length = alt.X("amount:Q", title=title, axis=alt.Axis(tickCount=6))
    used = {
        part: colour
        for part, colour in _PARTS.items()
        if any(piece["amount"] for piece in pieces if piece["outcome"] == part)
    }
    bars = data(pieces).mark_bar().encode(y=whose, x=length, color=colours(used), order="order:O")
    return alt.layer(bars).properties(width=WIDTH - 60, height=ROW * len(rows))


def gained(block: Block) -> alt.TopLevelMixin:
    """Draw what was gained over what could have been."""
    currency = main_currency(block.rows)
    row = next(row for row in block.rows if row["currency"] == currency)
    values: list[dict[str, Any]] = [
        {
            "what": what,
            "best": amount(row[f"best_{what}_minor"], currency),
            "got": amount(max(row[f"{what}_minor"], 0), currency),
            "said": f"{money(row[f'{what}_minor'], currency)} of"
            f" {money(row[f'best_{what}_minor'], currency)}",
        }
        for what in ("surplus", "welfare")
    ]
    base = data(values)
    what = alt.Y("what:N", sort=None, title=None)
    most = max(value["best"] for value in values) or 1
    scale = alt.Scale(domain=[0, most * 1.4], nice=False)
    best_x, got_x = (alt.X(f"{field}:Q", axis=None, scale=scale) for field in ("best", "got"))
    best = base.mark_bar(fill=light("faint"), height=18).encode(y=what, x=best_x)
    got = base.mark_bar(fill=light("passed"), height=9).encode(y=what, x=got_x)
    text = base.mark_text(align="left", dx=6).encode(y=what, x=best_x, text="said:N")
    return alt.layer(best, got, text).properties(width=WIDTH, height=ROW * len(values))


def spent(block: Block) -> alt.TopLevelMixin:
    """Draw for each buyer what it spent (thin bar) of what it had (wide bar) and might (line)."""
    currency = main_currency(block.rows)
    rows = [row for row in block.rows if row["currency"] == currency][:MAX_BARS]
    names = labels([row["buyer"] or row["buyer_id"] for row in rows])
    values: list[dict[str, Any]] = [
        {
            "buyer": buyer,
            "given": amount(row["funded_minor"], currency),
            "spent": amount(row["spent_minor"], currency),
            "budget": amount(row["budget_minor"], currency),
        }
        for buyer, row in zip(names, rows, strict=True)
    ]
    base = data(values)
    buyer = alt.Y("buyer:N", sort=names, title=None)
    shown = f", the first {len(rows)}" if len(rows) < len(block.rows) else ""
    line = ", budget of the mandate (line)" if any(value["budget"] for value in values) else ""
    title = f"{currency}: spent (thin), given (wide){line}{shown}"
    given = base.mark_bar(fill=light("faint"), height=16).encode(
        y=buyer, x=alt.X("given:Q", title=title, axis=alt.Axis(tickCount=6))
    )
    paid = base.mark_bar(fill=light("passed"), height=7).encode(y=buyer, x="spent:Q")
    limited = data([value for value in values if value["budget"] is not None])
    budget = limited.mark_tick(thickness=3, size=18, color=light("left"), opacity=1).encode(
        y=buyer, x="budget:Q"
    )
    return alt.layer(given, paid, budget).properties(width=WIDTH - 60, height=(ROW - 4) * len(rows))
