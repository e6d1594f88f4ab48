"""Blocks on money: what sellers earned, what buyers spent of what they might."""

from collections.abc import Sequence
from typing import Any, Final

from market import analytics
from market.report.forms import Block, Material, Table, Topic, columns_of
from market.report.words import counted, money, share, sums

_MONEY: Final = Topic(
    "money",
    "Money",
    "What was paid out of escrow for a seller's orders, and where it went. What its bond forfeited"
    " to the market is a loss of its own: no fee, and no part of any payment; what it kept is less"
    " by that, and below 0 where it forfeited more than it earned. Every row is reckoned twice,"
    " from the orders and from the ledger's postings: the difference must be 0.",
)
_BUDGET: Final = Topic(
    "budget",
    "Budget",
    "What buyers spent of the money that they were given, and what their mandates count as spent of"
    " the budgets that their principals set. A journey is refused where it ended because wallet,"
    " budget or mandate did not allow what it wanted.",
)
_SURPLUS: Final = Topic(
    "surplus",
    "Surplus",
    "Value is the buyer's own word: the most that it would have paid for the job. Surplus is the"
    " value of what was delivered less what was paid for it. The best is what these journeys could"
    " have gained from the offers that they had read, at the quoted prices. What sellers' work"
    " costs them is not recorded, so welfare, value less costs, counts all the value.",
)


def earned(of: Material) -> Block:
    """Tell what sellers earned, and whether the ledger says the same."""
    rows = analytics.money(of.facts).to_dicts()
    if not rows:
        return _MONEY.nothing("Nothing was ordered.")
    rows.sort(key=lambda row: -row["revenue_minor"])
    says = [f"Sellers earned {sums(rows, 'revenue_minor')}.{_where_it_went(rows)}"]
    if losers := [row for row in rows if row["forfeited_minor"]]:
        says.append(
            f"{counted(len(losers), 'seller')} forfeited {sums(losers, 'forfeited_minor')} of"
            " bonds to the market because orders failed."
        )
    if any(row["returned_minor"] for row in rows):
        expired = f", {sums(rows, 'expired_minor')} of it because time ran out"
        says.append(
            f"{sums(rows, 'returned_minor')} went back out of escrow when orders ended"
            f"{expired if any(row['expired_minor'] for row in rows) else ''}."
        )
    if any(row["held_minor"] for row in rows):
        says.append(f"{sums(rows, 'held_minor')} is still held for open orders.")
    off = sum(abs(row["difference_minor"]) for row in rows)
    says.append(
        "Checked: orders and ledger agree to the last unit."
        if not off
        else f"Orders and ledger are {sums(rows, 'difference_minor')} apart: the market has a bug."
    )
    columns = columns_of(
        "money",
        seller=("Seller", "name"),
        orders=("Orders", "count"),
        revenue_minor=("Revenue", "money"),
        fees_minor=("Fees", "money"),
        referrals_minor=("Referrals", "money"),
        refunds_minor=("Refunds", "money"),
        drawn_minor=("From bond", "money"),
        forfeited_minor=("Forfeited", "money"),
        kept_minor=("Kept", "money"),
        held_minor=("Held", "money"),
        returned_minor=("Returned", "money"),
        expired_minor=("Expired", "money"),
        difference_minor=("Difference", "money"),
    )
    return _MONEY.found(says, Table(title="Sellers", columns=columns, rows=rows))


def _where_it_went(rows: Sequence[dict[str, Any]]) -> str:
    parts = {
        "fees_minor": "the market took {} in fees",
        "referrals_minor": "recommenders got {}",
        "refunds_minor": "buyers got {} back later",
    }
    went = [
        words.format(sums(rows, field))
        for field, words in parts.items()
        if any(row[field] for row in rows)
    ]
    if went and any(row["drawn_minor"] for row in rows):
        went[-1] += f" ({sums(rows, 'drawn_minor')} of it out of bonds)"
    return f" Of that, {', '.join(went)}." if went else ""


def spent(of: Material) -> Block:
    """Tell what buyers spent of wallets and mandates, and how often these stopped them."""
    rows = analytics.budgets(of.facts).to_dicts()
    if not rows:
        return _BUDGET.nothing("No buyer had money, a mandate or an order.")
    rows.sort(key=lambda row: (-_refused(row), -row["spent_minor"]))
    refused = sum(map(_refused, rows))
    says = [
        f"{counted(len({row['buyer_id'] for row in rows}), 'buyer')} spent"
        f" {sums(rows, 'spent_minor')} of the {sums(rows, 'funded_minor')} that they were given."
    ]
    if not refused:
        says.append("Nobody was stopped by wallet, mandate or principal.")
    else:
        ways = {
            "refused_budget": "at the wallet or a budget",
            "refused_mandate": "at the mandate",
            "denied": "for want of a human's approval",
        }
        counts = {way: sum(row[field] for row in rows) for field, way in ways.items()}
        ended = ", ".join(f"{count:,} {way}" for way, count in counts.items() if count)
        says.append(f"{counted(refused, 'journey')} could not buy: {ended}.")
    columns = columns_of(
        "budgets",
        buyer=("Buyer", "name"),
        funded_minor=("Given", "money"),
        spent_minor=("Spent", "money"),
        spent_share=("Of given", "share"),
        held_minor=("Held", "money"),
        orders=("Orders", "count"),
        budget_minor=("Budget", "money"),
        charged_minor=("Charged", "money"),
        budget_share=("Of budget", "share"),
        refused_budget=("No money", "count"),
        refused_mandate=("Not allowed", "count"),
        denied=("Denied", "count"),
    )
    return _BUDGET.found(says, Table(title="Buyers", columns=columns, rows=rows))


def gained(of: Material) -> Block:
    """Tell what buyers gained of what they could have gained."""
    rows = analytics.welfare(of.facts).to_dicts()
    if not rows:
        return _SURPLUS.nothing("No buyer said what the most was that it would have paid.")
    says = [
        f"Of {counted(row['journeys'], 'journey')} with a limit, {row['served']:,} got something of"
        f" value: {money(row['value_minor'], row['currency'])} for"
        f" {money(row['paid_minor'], row['currency'])}. Buyers gained"
        f" {money(row['surplus_minor'], row['currency'])} of the"
        f" {money(row['best_surplus_minor'], row['currency'])} that they could have"
        + ("" if row["surplus_share"] is None else f" ({share(row['surplus_share'])})")
        + "."
        for row in rows
    ]
    columns = columns_of(
        "welfare",
        currency=("Currency", "text"),
        journeys=("Journeys", "count"),
        served=("Served", "count"),
        value_minor=("Value", "money"),
        paid_minor=("Paid", "money"),
        surplus_minor=("Surplus", "money"),
        best_surplus_minor=("Best surplus", "money"),
        surplus_share=("Of best", "share"),
        welfare_minor=("Welfare", "money"),
        best_welfare_minor=("Best welfare", "money"),
        welfare_share=("Of best welfare", "share"),
    )
    return _SURPLUS.found(says, Table(title="What was gained", columns=columns, rows=rows))


def _refused(row: dict[str, Any]) -> int:
    return int(row["refused_budget"] + row["refused_mandate"] + row["denied"])
