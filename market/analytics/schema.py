"""The frames: grain, order, columns, types and units of each, declared once.

The export casts to these types, the attributes of ``Facts`` take their docstrings from here, and
so does ``docs/analytics.md``.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

import polars as pl

from market.analytics.typenames import type_text
from market.protocol.events import STAGES
from market.trust.scoring import Standing

STAGE: Final = pl.Enum(STAGES)
"""The six stages, which sort in the order of a journey."""

MOMENT: Final = pl.Datetime("us", "UTC")
ALTERNATIVE: Final = pl.Struct(
    {
        "service_id": pl.String(),
        "slug": pl.String(),
        "amount_minor": pl.Int64(),
        "score": pl.Float64(),
        "parts": pl.List(pl.Struct({"part": pl.String(), "value": pl.Float64()})),
        "reason": pl.String(),
        "limit_minor": pl.Int64(),
    }
)
"""A service that a buyer weighed, as in ``market.protocol.wire.Alternative``."""


class Column(NamedTuple):
    """A column: its type, and what it holds, with the unit where the name does not say it."""

    dtype: pl.DataType
    meaning: str


class Frame(NamedTuple):
    """A frame: what one row is, the columns it is sorted by (its key), and all columns."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]

    @property
    def schema(self) -> pl.Schema:
        """The columns and types as polars has them."""
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    def describe(self) -> str:
        """Return the frame's docstring."""
        width = max(map(len, self.columns))
        columns = [
            f"    {name:{width}}  {type_text(column.dtype)}: {column.meaning}"
            for name, column in self.columns.items()
        ]
        return "\n".join([f"{self.grain}, sorted by {', '.join(self.key)}.", "", *columns])


_text = partial(Column, pl.String())
_whole = partial(Column, pl.Int64())
_real = partial(Column, pl.Float64())
_moment = partial(Column, MOMENT)
_stage = partial(Column, STAGE)

_SESSION = _text("the journey")
_CURRENCY = _text("ISO 4217 code of the amounts; they are integers of its minor units")

EVENTS: Final = Frame(
    "events",
    "One row per event of a session's log",
    ("session_id", "offset"),
    {
        "session_id": _SESSION,
        "offset": _whole(
            "place in the log, from 0 without gaps; a fork's begin behind what it shares with its"
            " source, where that stands once"
        ),
        "kind": _text("kind of event, noun.verb"),
        "stage": _stage("stage it belongs to; null for those of none"),
        "actor_id": _text("agent that wrote it, or market"),
        "order_id": _text("order it is about; null for none"),
        "audience": _text("owner, order or all: who may read it"),
        "recorded_at": _moment("when it was committed"),
        "body": _text("canonical JSON; what it holds is told by the kind"),
        "hash": _text("SHA-256 that chains it to the one before"),
    },
)
SESSIONS: Final = Frame(
    "sessions",
    "One row per buying journey",
    ("session_id",),
    {
        "session_id": _SESSION,
        "buyer_id": _text("agent that buys"),
        "principal_id": _text("human or firm that it buys for; null for none"),
        "need": _text("what it is after, in its words"),
        "labels": _text("JSON object of the buyer's own labels"),
        "source_session_id": _text("session whose history a fork shares; null for others"),
        "source_offset": _whole("last offset of that history; null for others"),
        "opened_at": _moment("its entry: decides the cohort"),
        "closed_at": _moment("when its log was completed; null while open"),
        "next_offset": _whole("events in its log"),
        "head_hash": _text("hash of its last event: the events above can be verified against it"),
    },
)
STAGE_ROWS: Final = Frame(
    "stages",
    "One row per session and stage that it reached",
    ("session_id", "stage"),
    {
        "session_id": _SESSION,
        "stage": _stage("the stage"),
        "buyer_id": _text("agent that buys"),
        "opened_at": _moment("when the session was opened: decides the cohort"),
        "entered_at": _moment("when the stage before was passed; opened_at for the first"),
        "left_at": _moment("when the stage was passed or left; null while open"),
        "outcome": _text("passed, left or open"),
        "reason": _text(
            "why the buyer left, of the closed list; null if it did not, or did not say"
        ),
        "service_id": _text("service that it had chosen by then; null for none"),
        "amount_minor": _whole("price of that service, else of the best one; null if unpriced"),
        "currency": _CURRENCY,
    },
)
DECISIONS: Final = Frame(
    "decisions",
    "One row per decision.made event",
    ("session_id", "offset"),
    {
        "session_id": _SESSION,
        "offset": _whole("place in the log"),
        "made_at": _moment("when it was committed"),
        "buyer_id": _text("agent that decided"),
        "stage": _stage("stage that it ends"),
        "outcome": _text("advance or leave"),
        "reason": _text("why it left, of the closed list; null for advance"),
        "detail": _text("the buyer's own words"),
        "service_id": _text("service chosen by then; null for none"),
        "order_id": _text("order placed by then; null for none"),
        "amount_minor": _whole("price of that service, else of the best one; null if unpriced"),
        "currency": _CURRENCY,
        "alternatives": Column(
            pl.List(ALTERNATIVE),
            "the best ten it weighed, best first: service_id, slug, amount_minor, score, "
            "parts [{part, value}], reason (out of the question; null: ranked), limit_minor "
            "(the most it would have paid, where it says so)",
        ),
    },
)
SIGHTINGS: Final = Frame(
    "sightings",
    "One row per service and event that showed it to a buyer",
    ("session_id", "offset", "place"),
    {
        "session_id": _SESSION,
        "offset": _whole("place of the event in the log"),
        "kind": _text(
            "finding.listed, evaluating.read, evaluating.quoted, trust.reported, order.placed"
        ),
        "seen_at": _moment("when it was committed"),
        "place": _whole("rank in the list, from 1; 1 where one service was shown"),
        "service_id": _text("the service"),
        "slug": _text("its name"),
        "seller_id": _text("agent that sells it"),
        "amount_minor": _whole("price shown (listed: of one unit or call); null where none was"),
        "score": _real("finding.listed: the search's score, 0 to 1"),
        "trust": _real("trust.reported: the seller's score, 0 to 1"),
        "confidence": _real("trust.reported: how much evidence it rests on, 0 to 1"),
        "good": _real("trust.reported: weighed good voices"),
        "bad": _real("trust.reported: weighed bad voices"),
        "flags": Column(
            pl.List(pl.String()), "trust.reported: what it warns of, such as frozen; else null"
        ),
    },
)
ORDERS: Final = Frame(
    "orders",
    "One row per order",
    ("order_id",),
    {
        "order_id": _text("the order"),
        "session_id": _SESSION,
        "service_id": _text("service bought"),
        "slug": _text("its name"),
        "manifest_digest": _text("version of the manifest that it was bought under"),
        "buyer_id": _text("agent that buys"),
        "principal_id": _text("human or firm that it buys for; null for none"),
        "seller_id": _text("agent that sells"),
        "mandate_id": _text("authority it was paid under; null for none"),
        "state": _text(
            "awaiting_approval, placed, started, delivered, settled, cancelled or failed"
        ),
        "is_paused": Column(pl.Boolean(), "whether nothing may be delivered now"),
        "price_per": _text("call, unit, tiers or flat"),
        "currency": _CURRENCY,
        "amount_minor": _whole("price, held in escrow"),
        "captured_minor": _whole("paid out of it, the fee included"),
        "fee_minor": _whole("part of captured_minor that the market kept"),
        "referrer_id": _text("agent on whose recommendation the buyer came; null for none"),
        "referral_minor": _whole("part of captured_minor that it got, out of the seller's"),
        "captures": _whole("parts in which captured_minor was paid"),
        "returned_minor": _whole("given back when the order ended"),
        "refunded_minor": _whole("given back later out of captured_minor, the fee included"),
        "units": _whole("units of work ordered"),
        "units_delivered": _whole("units of work delivered"),
        "chunks_delivered": _whole("parts delivered"),
        "placed_at": _moment("when it was placed"),
        "deliver_by": _moment("deadline of the delivery"),
        "accept_by": _moment("end of the time to inspect; null before the delivery is complete"),
        "ended_at": _moment("when it was settled, cancelled or failed; null before"),
        "receipt_id": _text("the latest receipt; null before the end"),
    },
)
CHUNKS: Final = Frame(
    "chunks",
    "One row per delivered part of an order",
    ("order_id", "index"),
    {
        "order_id": _text("the order"),
        "index": _whole("place in the delivery, from 0 without gaps"),
        "offset": _whole("place of its event in the session's log"),
        "units": _whole("units of work in it"),
        "units_delivered": _whole("units of work up to and with it"),
        "digest": _text("chain of the outputs up to it"),
        "delivered_at": _moment("when it was committed"),
    },
)
POSTINGS: Final = Frame(
    "postings",
    "One row per signed change of one account",
    ("transaction_id", "account_id"),
    {
        "transaction_id": _text("balanced act; its postings sum to zero"),
        "account_id": _text("account that changed"),
        "account_kind": _text("wallet, bond, escrow, fees or issuance"),
        "owner_id": _text("agent of a wallet or bond, order of an escrow, market for the house"),
        "reason": _text(
            "issuance.mint, escrow.hold, escrow.capture, escrow.void, order.refund; bond.post, "
            "bond.release, bond.withhold, bond.forfeit, bond.draw"
        ),
        "order_id": _text("order that it is for; null for none"),
        "amount_minor": _whole("+ the account holds more, - it holds less"),
        "currency": _CURRENCY,
        "balance_minor": _whole("what the account then held; null for the house"),
        "recorded_at": _moment("when it was committed"),
    },
)
REVIEWS: Final = Frame(
    "reviews",
    "One row per reviewed order",
    ("review_id",),
    {
        "review_id": _text("the review"),
        "order_id": _text("order that it is about"),
        "service_id": _text("service bought"),
        "seller_id": _text("agent that sold"),
        "buyer_id": _text("agent that reviews"),
        "verdict": _text("good or bad"),
        "comment": _text("the buyer's words"),
        "tags": Column(pl.List(pl.String()), "the buyer's tags"),
        "posted_at": _moment("when it was committed"),
    },
)
RECOMMENDATIONS: Final = Frame(
    "recommendations",
    "One row per recommendation and agent that got it",
    ("recommendation_id", "recipient_id"),
    {
        "recommendation_id": _text("the recommendation"),
        "recipient_id": _text("agent that was told"),
        "from_id": _text("agent that recommends"),
        "service_id": _text("service recommended"),
        "slug": _text("its name"),
        "order_id": _text("order on whose strength it was made"),
        "comment": _text("the recommender's words"),
        "sent_at": _moment("when it was committed"),
    },
)
AGENTS: Final = Frame(
    "agents",
    "One row per registered agent",
    ("agent_id",),
    {
        "agent_id": _text("thumbprint of its first key"),
        "handle": _text("its name for people"),
        "kind": _text("buyer, seller, principal or overseer"),
        "principal_id": _text("human or firm that it acts for; null for none"),
        "registered_at": _moment("when it entered"),
        "suspended_at": _moment("when it was shut out; null if it is not"),
    },
)
MANDATES: Final = Frame(
    "mandates",
    "One row per mandate that a principal gave",
    ("mandate_id",),
    {
        "mandate_id": _text("the mandate"),
        "principal_id": _text("human or firm that gave it"),
        "buyer_id": _text("agent that may spend"),
        "currency": _CURRENCY,
        "limits": _text("JSON object of all its limits; null does not limit"),
        "budget_minor": _whole("the most that may be spent under it; null for no limit"),
        "period_budget_minor": _whole("the most in one period; null for no limit"),
        "period_seconds": _whole("length of a period; null for none"),
        "max_orders": _whole("the most orders under it; null for no limit"),
        "period_max_orders": _whole("the most orders in one period; null for no limit"),
        "spent_minor": _whole("paid or held under it, less what came back"),
        "orders": _whole("orders that count against it"),
        "created_at": _moment("when it was given"),
        "expires_at": _moment("when it ends"),
        "revoked_at": _moment("when it was taken back; null if it was not"),
    },
)
SERVICES: Final = Frame(
    "services",
    "One row per service, in the version listed at the time of the export",
    ("service_id",),
    {
        "service_id": _text("the service"),
        "slug": _text("its name"),
        "seller_id": _text("agent that sells it"),
        "seller_handle": _text("the seller's name for people"),
        "state": _text("listed, withdrawn or suspended"),
        "version": _text("version of the manifest"),
        "price_per": _text("call, unit, tiers or flat"),
        "unit": _text("what is counted; null without a measure"),
        "amount_minor": _whole("the most that one call or unit can cost: what search compares"),
        "currency": _CURRENCY,
        "p95_ms": _whole("promised latency, milliseconds"),
        "refund": _text("refund policy"),
        "published_at": _moment("when this version was published"),
    },
)

TRUST_FACTS: Final = Frame(
    "trust_facts",
    "One row per fact that trust recorded",
    ("subject_id", "kind", "version"),
    {
        "number": _whole("its place among all facts, from 1"),
        "subject_id": _text("order, or digest of the manifest that changed a price"),
        "kind": _text("order.settled and so on, review.good or review.bad, price.raised"),
        "version": _whole("of the reviews or refunds of an order the highest counts"),
        "seller_id": _text("agent that sold"),
        "service_id": _text("service that it is about"),
        "buyer_id": _text("agent that bought; null for prices"),
        "amount_minor": _whole("paid before the fee; price of a failed order; refunded so far"),
        "currency": _CURRENCY,
        "is_on_time": Column(pl.Boolean(), "settled orders: delivered by the deadline"),
        "is_own": Column(pl.Boolean(), "buyer and seller act for one principal: it counts nothing"),
        "recorded_at": _moment("when it was committed"),
    },
)
TRUST_STANDINGS: Final = Frame(
    "trust_standings",
    "One row per seller with a fact",
    ("seller_id",),
    {
        "seller_id": _text("the seller"),
        **{name: _whole(f"`Standing.{name}` of `market.trust`") for name in Standing._fields},
    },
)
TRUST_BATCHES: Final = Frame(
    "trust_batches",
    "One row per batch that weighed all facts",
    ("batch",),
    {
        "batch": _text("its number as text"),
        "number": _whole("its number; the highest is current"),
        "parameters": _whole("version of the parameters that it cites"),
        "reference_at": _moment("when it was made"),
        "reference_day": _whole("day that ages count from, since 1970"),
        "last_fact": _whole("number of the last fact that it knew"),
        "facts": _whole("facts that it knew"),
        "anchors": Column(pl.List(pl.String()), "agents whose word it took"),
    },
)

FRAMES: Final = {
    frame.name: frame
    for frame in (
        EVENTS, STAGE_ROWS, DECISIONS, SIGHTINGS, ORDERS, CHUNKS, POSTINGS, REVIEWS,
        RECOMMENDATIONS, SESSIONS, AGENTS, MANDATES, SERVICES,
        TRUST_FACTS, TRUST_STANDINGS, TRUST_BATCHES,
    )
}  # fmt: skip
"""Every frame by name: the attributes of ``Facts``, and the Parquet files of an export."""
