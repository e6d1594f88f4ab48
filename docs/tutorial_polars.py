"""A run told by polars alone: the second half of ``docs/tutorial.md``, as cells."""

# %% [markdown]
# # A run, by polars alone
#
# The second half of docs/tutorial.md, as cells: an editor that knows `# %%` runs them one by one,
# and `python tutorial_polars.py RUN` all of them. RUN is a run's folder; of one seller,
# `cheap`, we want to know what its failures cost it.

# %%
import sys

import polars as pl

from market import analytics

run = sys.argv[1] if len(sys.argv) > 1 else "runs/survivors-2/cell-002/replica-1"
facts = analytics.open(run)
print(facts.orders.collect_schema().names())

# %% [markdown]
# ## Who got the orders, and how did they end?
# One row per order; amounts are integers of a millionth of the currency.

# %%
ended = (
    facts.orders.group_by("slug", "state")
    .agg(orders=pl.len(), paid_minor=pl.col("captured_minor").sum())
    .sort("slug", "state")
    .collect()
)
print(ended)

# %% [markdown]
# ## What did buyers know when they chose?
# A row of `sightings` is a service that was shown to a buyer: in a list, as a manifest, a quote, a
# trust report. So this is what the market said of each seller, through the day.

# %%
trust = (
    facts.sightings.filter(pl.col("kind") == "trust.reported")
    .sort("seen_at")
    .select("seen_at", "slug", pl.col("trust").round(3))
    .collect()
)
scores = trust.group_by("slug", maintain_order=True)
print(scores.agg(first=pl.first("trust"), highest=pl.max("trust"), last=pl.last("trust")))

# %% [markdown]
# ## How did they weigh what they saw?
# A row of `decisions` is a stage that a buyer ended, with all that it weighed, and the parts of
# each score.

# %%
weighed = (
    facts.decisions.filter(pl.col("stage") == "evaluating")
    .select("session_id", pl.col("alternatives"))
    .explode("alternatives")
    .unnest("alternatives")
    .select("session_id", "slug", "amount_minor", "score", "parts")
    .explode("parts")
    .unnest("parts")
    .collect()
)
print(weighed.pivot("part", index="slug", values="value", aggregate_function="mean"))

# %% [markdown]
# ## What did a failure cost?
# Money that was in escrow went back: nobody lost any, but the seller did not get it. What it lost
# besides are the orders that went to the other from then on.

# %%
has_failed = pl.col("state") == "failed"
cost = (
    facts.orders.group_by("slug")
    .agg(
        orders=pl.len(),
        failures=has_failed.sum(),
        earned=pl.col("captured_minor").sum() / 1e6,
        not_earned=pl.col("amount_minor").filter(has_failed).sum() / 1e6,
        back_in_wallets=pl.col("returned_minor").filter(has_failed).sum() / 1e6,
    )
    .sort("slug")
    .collect()
)
print(cost)

# %% [markdown]
# ## The books
# Every transaction's postings sum to zero, in any run of any scenario.

# %%
sums = facts.postings.group_by("transaction_id").agg(pl.col("amount_minor").sum())
assert sums.filter(pl.col("amount_minor") != 0).collect().is_empty()
print(f"{sums.collect().height} transactions, each in balance")
