"""What facts are about: how much of everything, and from when to when."""

import polars as pl

from market.analytics.facts import Facts


def overview(facts: Facts) -> pl.DataFrame:
    """Return one row: what these facts hold.

    sessions, buyers, sellers, services, events, orders i64; began_at, ended_at datetime[us, UTC]:
    the first and the last event of any session, null without one; currencies list[str], sorted.
    """
    counts = pl.concat(
        [
            facts.sessions.select(sessions=pl.len(), buyers=pl.col("buyer_id").n_unique()),
            facts.services.select(sellers=pl.col("seller_id").n_unique(), services=pl.len()),
            facts.events.select(
                events=pl.len(),
                began_at=pl.col("recorded_at").min(),
                ended_at=pl.col("recorded_at").max(),
            ),
            facts.orders.select(orders=pl.len()),
            facts.postings.select(currencies=pl.col("currency").unique().sort().implode()),
        ],
        how="horizontal",
    )
    whole = ("sessions", "buyers", "sellers", "services", "events", "orders")
    return counts.select(
        pl.col(whole).cast(pl.Int64), "began_at", "ended_at", "currencies"
    ).collect(engine="streaming")
