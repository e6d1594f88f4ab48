"""Frames that are made of other frames: decisions, sightings, stages.

What an event holds is pulled out of its JSON here, at the export, and never in a query.
"""

from typing import Any, Final

import polars as pl

from market.analytics.schema import SIGHTINGS, STAGE, STAGE_ROWS
from market.protocol.events import STAGES

_SERVICE: Final = {
    "service_id": pl.String(),
    "slug": pl.String(),
    "seller_id": pl.String(),
    "amount_minor": pl.Int64(),
    "score": pl.Float64(),
}
_EVIDENCE: Final = {
    "confidence": pl.Float64(),
    "good": pl.Float64(),
    "bad": pl.Float64(),
    "flags": pl.List(pl.String()),
}
_SHOWN: Final = pl.Struct(
    {**_SERVICE, **_EVIDENCE, "services": pl.List(pl.Struct(_SERVICE))}
)  # fmt: skip
SHOWING: Final = (
    "finding.listed",
    "evaluating.read",
    "evaluating.quoted",
    "trust.reported",
    "order.placed",
)
"""Kinds of event that show services to a buyer."""

_ENDINGS: Final = pl.LazyFrame(
    [
        ("order.settled", "advance", None),
        ("order.cancelled", "leave", "other"),
        ("order.failed", "leave", "delivery_failed"),
        ("approval.denied", "leave", "approval_denied"),
        ("approval.expired", "leave", "approval_denied"),
        ("review.posted", "advance", None),
    ],
    schema={"kind": pl.String(), "verdict": pl.String(), "reason": pl.String()},
    orient="row",
)
"""What events of the market say about a stage, of a buyer that records no decisions."""

_INDEX: Final = pl.col("stage").to_physical().cast(pl.Int64)
_VERDICT: Final = ("session_id", "service_id", "amount_minor", "currency")


def sightings(events: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``schema.SIGHTINGS`` from the frame of events."""
    is_trust = pl.col("kind") == "trust.reported"
    single = pl.struct(*[pl.col(name) for name in _SERVICE])
    return _declared(
        events.filter(pl.col("kind").is_in(SHOWING))
        .select(
            "session_id",
            "offset",
            "kind",
            pl.col("recorded_at").alias("seen_at"),
            pl.col("body").str.json_decode(_SHOWN),
        )
        .unnest("body")
        .with_columns(
            pl.when(pl.col("kind") == "finding.listed")
            .then(pl.col("services"))
            .otherwise(pl.concat_list(single))
            .alias("services"),
            pl.when(is_trust).then(pl.col("score")).alias("trust"),
        )
        .drop(*_SERVICE)
        .filter(pl.col("services").list.len() > 0)
        .with_columns(pl.int_ranges(1, pl.col("services").list.len() + 1).alias("place"))
        .explode("services", "place")
        .unnest("services")
        .with_columns(pl.when(~is_trust).then(pl.col("score")).alias("score")),
        SIGHTINGS.columns,
    )


def stages(
    sessions: pl.LazyFrame, decisions: pl.LazyFrame, events: pl.LazyFrame, orders: pl.LazyFrame
) -> pl.LazyFrame:
    """Return ``schema.STAGE_ROWS`` from the frames of the same names.

    A journey reaches a stage when it has passed the one before; a decision to leave ends it. Of a
    buyer that records no decisions the market's events tell how far it came. What is undecided
    before a decided stage was passed; what is undecided when the session is closed was left
    without a word; else it is open.
    """
    verdicts = _verdicts(decisions, events, orders)
    reached = (
        sessions.join(verdicts.group_by("session_id").agg(_last_reached()), "session_id", "left")
        .with_columns(pl.int_ranges(0, pl.col("last").fill_null(0) + 1).alias("index"))
        .explode("index")
        .join(verdicts, ["session_id", "index"], "left")
        .sort("session_id", "index")
    )
    is_last = pl.col("index") == pl.col("last").fill_null(0)
    return _declared(
        reached.with_columns(
            pl.when(pl.col("verdict") == "leave")
            .then(pl.lit("left"))
            .when(pl.col("verdict").is_not_null() | ~is_last)
            .then(pl.lit("passed"))
            .when(pl.col("closed_at").is_not_null())
            .then(pl.lit("left"))
            .otherwise(pl.lit("open"))
            .alias("outcome"),
            pl.coalesce(pl.col("at").backward_fill().over("session_id"), pl.col("closed_at")).alias(
                "left_at"
            ),
            pl.col("index")
            .replace_strict(dict(enumerate(STAGES)), return_dtype=STAGE)
            .alias("stage"),
        ).with_columns(
            pl.col("left_at")
            .shift()
            .over("session_id")
            .fill_null(pl.col("opened_at"))
            .alias("entered_at")
        ),
        STAGE_ROWS.columns,
    )


def _verdicts(decisions: pl.LazyFrame, events: pl.LazyFrame, orders: pl.LazyFrame) -> pl.LazyFrame:
    """One row per session and stage that was decided.

    session_id str, index i64 (of the stage), verdict str, reason str, at datetime[us, UTC],
    service_id str, amount_minor i64, currency str.
    """
    said = decisions.select(
        *_VERDICT,
        "offset",
        _INDEX.alias("index"),
        pl.col("outcome").alias("verdict"),
        "reason",
        pl.col("made_at").alias("at"),
    )
    silent = (
        events.filter(pl.col("stage").is_not_null())
        .join(decisions, "session_id", "anti")
        .join(orders.select("order_id", *_VERDICT[1:]), "order_id", "left")
        .select(
            *_VERDICT, "offset", _INDEX.alias("index"), "kind", pl.col("recorded_at").alias("at")
        )
    )
    begun = silent.filter(pl.col("index") > 0).with_columns(
        pl.col("index") - 1, verdict=pl.lit("advance"), reason=pl.lit(None, pl.String)
    )
    ended = silent.join(_ENDINGS, "kind")
    happened = pl.concat([begun.drop("kind"), ended.drop("kind")], how="diagonal")
    return pl.concat(
        [
            # A buyer's last word on a stage counts; where it has none, the best that happened.
            said.sort("offset").unique(["session_id", "index"], keep="last", maintain_order=True),
            happened.sort("verdict", "offset")
            .unique(["session_id", "index"], keep="first", maintain_order=True)
            .select(said.collect_schema().names()),
        ]
    ).drop("offset")


def _last_reached() -> pl.Expr:
    """The index of the last stage of a session that has these verdicts."""
    left = pl.col("index").filter(pl.col("verdict") == "leave").min()
    furthest = pl.min_horizontal(pl.col("index").max() + 1, pl.lit(len(STAGES) - 1))
    return pl.coalesce(left, furthest).alias("last")


def _declared(frame: pl.LazyFrame, columns: Any) -> pl.LazyFrame:
    return frame.select(pl.col(name).cast(column.dtype) for name, column in columns.items())
