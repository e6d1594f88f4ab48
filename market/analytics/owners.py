"""What is new of each session and each order since the export before, and whether it goes on.

The hash of a session's last event stands for all before it: where a session has grown, the event
that was its last must still have the hash that it had. So an export is never continued from another
store, nor from a copy that went another way.
"""

from typing import Final

import polars as pl

from market.analytics import schema
from market.analytics.parts import Folder
from market.analytics.ranges import OWNERS
from market.analytics.source import Source
from market.analytics.statements import as_declared, sql_of

ASKED: Final = 20_000
"""Sessions that one statement asks for."""

_NOW: Final = (
    pl.col("session_id").alias("owner"),
    (pl.col("source_offset") + 1).fill_null(0).alias("start"),
    pl.col("next_offset").alias("stop"),
    pl.col("head_hash").alias("hash"),
    pl.col("closed_at").is_null().alias("is_open"),
)


class Parted(Exception):
    """The files are not the beginning of this store: it is another, or an older copy."""


def sessions_of(source: Source, folder: Folder) -> pl.DataFrame:
    """Return what is new of each session (``OWNERS``).

    Raises:
        Parted: the events of the export before are not all among those of the store.
    """
    before = folder.of(schema.SESSIONS, folder.old(schema.SESSIONS)).select(_NOW)
    found = _compared(folder.scan(schema.SESSIONS).select(_NOW), before)
    is_old = pl.col("known") > pl.col("start")
    grown = found.filter(is_old, pl.col("stop") > pl.col("known"))
    same = found.filter(is_old, pl.col("stop") == pl.col("known"))
    if (same["hash"] != same["hash_before"]).any():
        raise Parted
    for some in grown.iter_slices(ASKED):
        _check(source, some)
    is_changed = (
        pl.col("is_open_before").is_null()
        | (pl.col("stop") > pl.col("known"))
        | (pl.col("is_open") != pl.col("is_open_before"))
        | pl.col("owner").is_in(_repriced(folder).implode())
    )
    return found.select(*OWNERS.names()[:-1], is_changed=is_changed)


def orders_of(folder: Folder) -> pl.DataFrame:
    """Return which parts are new of each order (``OWNERS``).

    Raises:
        Parted: there were more before.
    """
    columns = (
        pl.col("order_id").alias("owner"),
        pl.lit(0, pl.Int64()).alias("start"),
        pl.col("chunks_delivered").alias("stop"),
    )
    before = folder.of(schema.ORDERS, folder.old(schema.ORDERS)).select(columns)
    found = _compared(folder.scan(schema.ORDERS).select(columns), before)
    return found.select(*OWNERS.names()[:-1], is_changed=pl.col("stop") > pl.col("known"))


def _compared(now: pl.LazyFrame, before: pl.LazyFrame) -> pl.DataFrame:
    """Return the owners of now, with what is known of them from before."""
    before = before.drop("start").rename({"stop": "known"})
    found = (
        now.join(before, on="owner", how="left", suffix="_before", maintain_order="left")
        .with_columns(pl.col("known").is_not_null().alias("is_old"))
        .with_columns(pl.coalesce("known", "start").alias("known"))
        .collect(engine="streaming")
    )
    is_gone = found["is_old"].sum() < before.select(pl.len()).collect().item()
    if is_gone or (found["known"] > found["stop"]).any():
        raise Parted
    return found


def _check(source: Source, grown: pl.DataFrame) -> None:
    """Ask for the event of each session that was its last, and compare its hash.

    Raises:
        Parted: it has another.
    """
    owned = grown.select("owner", pl.col("known") - 1).rows()
    statement = sql_of(schema.EVENTS, source.dialect, owned=owned, how="at")
    with source.rows(statement) as rows:
        found = as_declared(rows, schema.EVENTS).select("hash").collect(engine="streaming")
    if not found["hash"].equals(grown["hash_before"].alias("hash"), null_equal=False):
        raise Parted


def _repriced(folder: Folder) -> pl.Series:
    """Return the sessions that weighed a service whose currency is not the one that it was."""
    columns = ("service_id", "currency")
    before = folder.of(schema.SERVICES, folder.old(schema.SERVICES)).select(columns)
    now = folder.scan(schema.SERVICES).select(columns)
    moved = now.join(before, on=columns, how="anti").collect()["service_id"]
    weighed = pl.element().struct.field("service_id").is_in(moved.implode())
    decisions = folder.of(schema.DECISIONS, folder.old(schema.DECISIONS))
    if moved.is_empty():
        decisions = decisions.clear()
    return (
        decisions.filter(pl.col("alternatives").list.eval(weighed).list.any())
        .select(pl.col("session_id").unique())
        .collect(engine="streaming")["session_id"]
    )
