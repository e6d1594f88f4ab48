"""Trust by the rule of anchored beta: versions of facts, batches, anchors, reviews that change.

The sums are made anew from the facts by the first batch, which the market makes when it starts.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_MEMORY = (
    "vouched_good", "vouched_bad", "crowd_good", "crowd_bad", "last_vouched_good",
    "last_vouched_bad", "last_crowd_good", "last_crowd_bad", "since_vouched",
    "since_vouched_good", "since_vouched_bad", "since_crowd", "since_crowd_good",
    "since_crowd_bad",
)  # fmt: skip
_ORDER_COUNTERS = ("settled", "failed", "cancelled", "refunded", "reviews_good", "reviews_bad")
_ALL_COUNTERS = (*_ORDER_COUNTERS[:4], "disputed", *_ORDER_COUNTERS[4:])
_SELLER_COUNTERS = ("on_time", "distinct_buyers", "price_changes", "price_raises")
_APPEND_ONLY = ("trust_facts", "trust_anchors", "review_versions")
_BATCHED = ("trust_sellers", "trust_buyers", "trust_batches", "trust_parameters", "trust_rings")
_SUMS = ("trust_standings", "trust_pairs")
_LAST_REFUND = (
    "kind = 'order.refunded' AND version = (SELECT MAX(other.version) FROM trust_facts AS other "
    "WHERE other.subject_id = trust_facts.subject_id AND other.kind = trust_facts.kind)"
)
"""Of refunds the version is how much went back in all: there need not be a first."""

_KEPT = "subject_id, kind, seller_id, service_id, buyer_id, amount_minor, is_on_time, recorded_at"


def _whole(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _number() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("number", kind, sa.Identity(), nullable=False)


def _moment(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    """Number the facts and give them versions; create what batches and anchors need."""
    op.execute(f"CREATE TEMPORARY TABLE kept_facts AS SELECT {_KEPT} FROM trust_facts")
    for table in ("trust_facts", *_SUMS):
        op.drop_table(table)
    _create_facts()
    _create_sums()
    _create_batches()
    _create_anchors()
    _create_review_versions()
    _take_in_facts()
    _protect()


def downgrade() -> None:
    """Go back to facts without versions; the first of reviews and the last of refunds is kept."""
    op.execute(
        f"CREATE TEMPORARY TABLE kept_facts AS SELECT {_KEPT} FROM trust_facts "
        f"WHERE version = 1 AND kind <> 'order.refunded' OR {_LAST_REFUND}"
    )
    for table in (*_APPEND_ONLY, *_BATCHED, *_SUMS):
        op.drop_table(table)
    op.drop_column("reviews", "version")
    op.create_table(
        "trust_facts",
        *_fact_columns(),
        sa.PrimaryKeyConstraint("subject_id", "kind", name="pk_trust_facts"),
    )
    op.create_index("ix_trust_facts_seller_id", "trust_facts", ["seller_id"])
    op.create_table(
        "trust_pairs",
        sa.Column("seller_id", sa.String(43), nullable=False),
        sa.Column("buyer_id", sa.String(43), nullable=False),
        *[sa.Column(name, sa.Integer, nullable=False) for name in ("facts", *_ORDER_COUNTERS)],
        sa.PrimaryKeyConstraint("seller_id", "buyer_id", name="pk_trust_pairs"),
    )
    op.create_table(
        "trust_standings",
        sa.Column("seller_id", sa.String(43), nullable=False),
        *_whole("good_micro", "bad_micro"),
        *[
            sa.Column(name, sa.Integer, nullable=False)
            for name in (*_ORDER_COUNTERS, *_SELLER_COUNTERS)
        ],
        sa.PrimaryKeyConstraint("seller_id", name="pk_trust_standings"),
    )
    op.execute(f"INSERT INTO trust_facts ({_KEPT}) SELECT {_KEPT} FROM kept_facts")
    op.execute("DROP TABLE kept_facts")


def _fact_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("subject_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("seller_id", sa.String(43), nullable=False),
        sa.Column("service_id", sa.String(40), nullable=False),
        sa.Column("buyer_id", sa.String(43)),
        sa.Column("amount_minor", sa.BigInteger),
        sa.Column("is_on_time", sa.Integer),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
    ]


def _create_facts() -> None:
    op.create_table(
        "trust_facts",
        _number(),
        *_fact_columns(),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3)),
        sa.Column("is_own", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_trust_facts"),
        sa.UniqueConstraint(
            "subject_id", "kind", "version", name="uq_trust_facts_subject_id_kind_version"
        ),
    )
    op.create_index("ix_trust_facts_seller_id_number", "trust_facts", ["seller_id", "number"])


def _take_in_facts() -> None:
    """Keep every fact, in the order of time; of a failed order the price now counts."""
    op.execute(
        f"INSERT INTO trust_facts ({_KEPT}, version, currency, is_own) "
        "SELECT f.subject_id, f.kind, f.seller_id, f.service_id, f.buyer_id, "
        "CASE WHEN f.kind = 'order.failed' THEN o.amount_minor ELSE f.amount_minor END, "
        "f.is_on_time, f.recorded_at, 1, o.currency, 0 "
        "FROM kept_facts f LEFT JOIN orders o ON o.id = f.subject_id "
        "ORDER BY f.recorded_at, f.subject_id, f.kind"
    )
    op.execute("DROP TABLE kept_facts")


def _create_sums() -> None:
    op.create_table(
        "trust_pairs",
        sa.Column("seller_id", sa.String(43), nullable=False),
        sa.Column("buyer_id", sa.String(43), nullable=False),
        sa.Column("facts", sa.Integer, nullable=False),
        *_whole("good_micro", "bad_micro"),
        sa.PrimaryKeyConstraint("seller_id", "buyer_id", name="pk_trust_pairs"),
    )
    op.create_table(
        "trust_standings",
        sa.Column("seller_id", sa.String(43), nullable=False),
        *_whole(*_MEMORY, *_ALL_COUNTERS, *_SELLER_COUNTERS),
        sa.PrimaryKeyConstraint("seller_id", name="pk_trust_standings"),
    )


def _create_batches() -> None:
    op.create_table(
        "trust_sellers",
        sa.Column("seller_id", sa.String(43), nullable=False),
        *_whole("vouched_micro"),
        *[
            sa.Column(f"{name}_voices", sa.Integer, nullable=False)
            for name in ("anchor", "vouched", "crowd")
        ],
        *_whole("anchor_weight", "vouched_weight", "crowd_weight", "calibration_micro"),
        sa.Column("is_ringed", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("seller_id", name="pk_trust_sellers"),
    )
    op.create_table(
        "trust_buyers",
        sa.Column("buyer_id", sa.String(43), nullable=False),
        *_whole("vouched_micro", "crowd_micro", "calibration_micro", "spend_micro"),
        sa.Column("is_anchor", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("buyer_id", name="pk_trust_buyers"),
    )
    op.create_table(
        "trust_batches",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("parameters", sa.Integer, nullable=False),
        _moment("reference_at"),
        sa.Column("reference_day", sa.Integer, nullable=False),
        *_whole("last_fact", "facts", "last_act"),
        sa.Column("anchors", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_trust_batches"),
    )
    op.create_table(
        "trust_parameters",
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        *_whole("typical_minor"),
        sa.Column("rule", sa.String(32), nullable=False),
        _moment("set_at"),
        sa.PrimaryKeyConstraint("version", "currency", name="pk_trust_parameters"),
    )
    op.create_table(
        "trust_rings",
        sa.Column("place", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("ring", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("place", name="pk_trust_rings"),
    )


def _create_anchors() -> None:
    op.create_table(
        "trust_anchors",
        _number(),
        sa.Column("buyer_id", sa.String(43), nullable=False),
        sa.Column("act", sa.String(16), nullable=False),
        sa.Column("overseer_id", sa.String(43), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        _moment("acted_at"),
        sa.PrimaryKeyConstraint("number", name="pk_trust_anchors"),
        sa.CheckConstraint(
            "act IN ('proposed', 'confirmed', 'revoked')", name="ck_trust_anchors_act_known"
        ),
    )
    op.create_index("ix_trust_anchors_buyer_id", "trust_anchors", ["buyer_id"])


def _create_review_versions() -> None:
    op.add_column("reviews", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.create_table(
        "review_versions",
        sa.Column("review_id", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("verdict", sa.String(8), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        _moment("posted_at"),
        sa.Column("commitment", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("review_id", "version", name="pk_review_versions"),
    )
    op.execute(
        "INSERT INTO review_versions "
        "SELECT id, 1, verdict, comment, tags, posted_at, commitment FROM reviews"
    )


def _protect() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    for table in _APPEND_ONLY:
        if is_postgres:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            )
            continue
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
