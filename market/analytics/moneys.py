"""Money: what sellers earned and gave back, what buyers spent of what they might spend."""

from typing import Final

import polars as pl

from market.analytics.answers import CURRENCY, gives, real, text, whole
from market.analytics.facts import Facts
from market.analytics.intervals import share_of
from market.orders import ENDED

_SELLER: Final = ["seller_id", "currency"]
_BUYER: Final = ["buyer_id", "currency"]
_SUMMED: Final = ("captured_minor", "fee_minor", "returned_minor", "refunded_minor")
_HELD: Final = pl.when(~pl.col("state").is_in(sorted(ENDED))).then(
    pl.col("amount_minor") - pl.col("captured_minor") - pl.col("returned_minor")
)
"""What is in escrow for an order that is open; null for one that has ended."""


@gives(
    "One row per seller and currency with an order",
    ("seller", "seller_id", "currency"),
    {
        "seller_id": text("the seller"),
        "seller": text("its handle"),
        "currency": CURRENCY,
        "orders": whole("orders that it got"),
        "revenue_minor": whole("paid out of escrow for them, before fees and refunds"),
        "fees_minor": whole("part of the revenue that the market took"),
        "referrals_minor": whole("part of it that went to those who had recommended the seller"),
        "refunds_minor": whole("part of it that buyers got back later, fees included"),
        "drawn_minor": whole(
            "part of it that came out of the seller's bond, as its wallet did not hold enough"
        ),
        "forfeited_minor": whole(
            "what its bond lost to the market because its orders failed: no fee, and no buyer"
            " gets any of it"
        ),
        "kept_minor": whole(
            "what these orders left it in the end, in wallet and bond, by the ledger: below 0"
            " where it forfeited more than it earned"
        ),
        "held_minor": whole("still in escrow for its open orders"),
        "returned_minor": whole("given back out of escrow when orders ended"),
        "expired_minor": whole(
            "part of returned_minor because time ran out: a human did not answer, or the seller did"
            " not deliver by the deadline or gave no sign of life"
        ),
        "difference_minor": whole(
            "how far the orders and the ledger are apart, over revenue, fees, returns, refunds and"
            " what is held, and transactions from zero: 0, or the market has a bug"
        ),
    },
)
def money(facts: Facts) -> pl.DataFrame:
    """Return what each seller earned, and whether the ledger says the same as the orders."""
    orders = (
        facts.orders.join(_expired(facts), "order_id", "left")
        .join(_posted(facts), "order_id", "left")
        .with_columns(
            pl.selectors.starts_with("posted_").fill_null(0), held_minor=_HELD.fill_null(0)
        )
        .with_columns(difference_minor=_difference())
    )
    return (
        orders.group_by(_SELLER)
        .agg(
            pl.len().alias("orders"),
            pl.col("captured_minor").sum().alias("revenue_minor"),
            pl.col("fee_minor").sum().alias("fees_minor"),
            pl.col("referral_minor").sum().alias("referrals_minor"),
            pl.col("refunded_minor").sum().alias("refunds_minor"),
            pl.col("posted_drawn_minor").sum().alias("drawn_minor"),
            pl.col("posted_forfeited_minor").sum().alias("forfeited_minor"),
            pl.col("posted_kept_minor").sum().alias("kept_minor"),
            pl.col("held_minor", "returned_minor", "difference_minor").sum(),
            pl.col("returned_minor").filter(pl.col("is_expired")).sum().alias("expired_minor"),
        )
        .join(_handles(facts, "seller"), "seller_id", "left")
        .collect(engine="streaming")
    )


@gives(
    "One row per buyer and currency in which it had money, a mandate or an order",
    ("buyer", "buyer_id", "currency"),
    {
        "buyer_id": text("the buyer"),
        "buyer": text("its handle"),
        "currency": CURRENCY,
        "funded_minor": whole("money that it was given"),
        "orders": whole("orders that it placed"),
        "spent_minor": whole("paid for them, less what it got back"),
        "held_minor": whole("in escrow for those that are open"),
        "spent_share": real("spent_minor of funded_minor; null where it was given nothing"),
        "mandates": whole("mandates that it acts under"),
        "budget_minor": whole("their budgets together; null if one of them has none, or none is"),
        "charged_minor": whole("what the mandates count as spent: paid or held under them"),
        "budget_share": real("charged_minor of budget_minor; null without one"),
        "refused_budget": whole("journeys that ended because wallet or budget did not suffice"),
        "refused_mandate": whole("journeys that ended because the mandate did not allow it"),
        "denied": whole("journeys that ended because a human denied the order, or did not answer"),
    },
)
def budgets(facts: Facts) -> pl.DataFrame:
    """Return what buyers spent of their wallets and mandates, and how often these stopped them.

    A journey that was refused counts in each currency that its buyer has a row in, as it names
    none where nothing was priced.
    """
    bought = facts.orders.group_by(_BUYER).agg(
        pl.len().alias("orders"),
        (pl.col("captured_minor") - pl.col("refunded_minor")).sum().alias("spent_minor"),
        _HELD.sum().alias("held_minor"),
    )
    is_gift = (pl.col("reason") == "issuance.mint") & (pl.col("account_kind") == "wallet")
    buyers = facts.agents.filter(pl.col("kind") == "buyer").select(buyer_id="agent_id")
    funded = (
        facts.postings.filter(is_gift)
        .group_by(pl.col("owner_id").alias("buyer_id"), "currency")
        .agg(pl.col("amount_minor").sum().alias("funded_minor"))
        .join(buyers, "buyer_id", "semi")
    )
    given = facts.mandates.group_by(_BUYER).agg(
        pl.len().alias("mandates"),
        pl.when(pl.col("budget_minor").is_not_null().all())
        .then(pl.col("budget_minor").sum())
        .alias("budget_minor"),
        pl.col("spent_minor").sum().alias("charged_minor"),
    )
    rows = pl.concat([frame.select(_BUYER) for frame in (bought, funded, given)]).unique()
    for frame in (bought, funded, given):
        rows = rows.join(frame, _BUYER, "left", nulls_equal=True)
    counted = ("funded_minor", "orders", "spent_minor", "held_minor", "mandates", "charged_minor")
    refused = ("refused_budget", "refused_mandate", "denied")
    return (
        rows.with_columns(pl.col(counted).fill_null(0))
        .join(_refused(facts), "buyer_id", "left")
        .with_columns(
            pl.col(refused).fill_null(0),
            spent_share=share_of(pl.col("spent_minor"), pl.col("funded_minor")),
            budget_share=share_of(pl.col("charged_minor"), pl.col("budget_minor")),
        )
        .join(_handles(facts, "buyer"), "buyer_id", "left")
        .collect(engine="streaming")
    )


def _posted(facts: Facts) -> pl.LazyFrame:
    """One row per order, what the ledger says of it in minor units.

    posted_captured, posted_fee, posted_returned, posted_refunded, posted_held, posted_drawn,
    posted_forfeited, posted_kept: the sums of the postings; posted_unbalanced: how far its
    transactions are from zero.
    """
    posted = facts.postings.filter(pl.col("order_id").is_not_null()).join(
        facts.orders.select("order_id", "seller_id"), "order_id"
    )
    amount, reason, kind = pl.col("amount_minor"), pl.col("reason"), pl.col("account_kind")
    is_escrow, is_capture = kind == "escrow", reason == "escrow.capture"
    sums = {
        "captured": -amount.filter(is_escrow & is_capture).sum(),
        "fee": amount.filter((kind == "fees") & is_capture).sum(),
        "returned": -amount.filter(is_escrow & (reason == "escrow.void")).sum(),
        "refunded": amount.filter((reason == "order.refund") & (amount > 0)).sum(),
        "held": amount.filter(is_escrow).sum(),
        "drawn": -amount.filter((kind == "bond") & (reason == "bond.draw")).sum(),
        "forfeited": -amount.filter((kind == "bond") & (reason == "bond.forfeit")).sum(),
        # Wallet and bond are both the seller's own: what moves between them is no earning.
        "kept": amount.filter(
            kind.is_in(["wallet", "bond"])
            & (pl.col("owner_id") == pl.col("seller_id"))
            & reason.is_in(["escrow.capture", "order.refund", "bond.forfeit"])
        ).sum(),
    }
    off = posted.group_by("order_id", "transaction_id").agg(amount.sum().abs().alias("off"))
    unbalanced = off.group_by("order_id").agg(pl.col("off").sum().alias("posted_unbalanced_minor"))
    return (
        posted.group_by("order_id")
        .agg(value.alias(f"posted_{name}_minor") for name, value in sums.items())
        .join(unbalanced, "order_id")
    )


def _difference() -> pl.Expr:
    """How far an order and the ledger are apart, in minor units."""
    apart = [(pl.col(name) - pl.col(f"posted_{name}")).abs() for name in (*_SUMMED, "held_minor")]
    return pl.sum_horizontal(*apart, "posted_unbalanced_minor")


def _expired(facts: Facts) -> pl.LazyFrame:
    """One row per order, whether it ended because time ran out: order_id, is_expired bool."""
    told = facts.events.filter(pl.col("kind").is_in(["approval.expired", "order.stalled"]))
    kinds = told.group_by("order_id").agg(
        unanswered=(pl.col("kind") == "approval.expired").any(),
        stalled=(pl.col("kind") == "order.stalled").any(),
    )
    is_late = pl.col("stalled") | (pl.col("ended_at") >= pl.col("deliver_by"))
    return (
        facts.orders.select("order_id", "state", "ended_at", "deliver_by")
        .join(kinds, "order_id", "left")
        .select(
            "order_id",
            is_expired=pl.col("unanswered").fill_null(False)
            | ((pl.col("state") == "failed") & is_late.fill_null(False)),
        )
    )


def _refused(facts: Facts) -> pl.LazyFrame:
    """One row per buyer, how many of its journeys left for want of money or authority."""
    reason = pl.col("reason")
    return (
        facts.stages.filter(pl.col("outcome") == "left")
        .group_by("buyer_id")
        .agg(
            refused_budget=(reason == "budget").sum(),
            refused_mandate=(reason == "mandate").sum(),
            denied=(reason == "approval_denied").sum(),
        )
    )


def _handles(facts: Facts, role: str) -> pl.LazyFrame:
    return facts.agents.select(pl.col("agent_id").alias(f"{role}_id"), pl.col("handle").alias(role))
