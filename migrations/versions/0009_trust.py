"""What the market has seen of each seller: facts, and their sums by pair and by seller."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ORDER_COUNTERS = ("settled", "failed", "cancelled", "refunded", "reviews_good", "reviews_bad")
_SELLER_COUNTERS = ("on_time", "distinct_buyers", "price_changes", "price_raises")


def _counters(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False) for name in names]


def upgrade() -> None:
    """Create the tables; the sums can always be made anew from the facts."""
    op.create_table(
        "trust_facts",
        sa.Column("subject_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("seller_id", sa.String(43), nullable=False),
        sa.Column("service_id", sa.String(40), nullable=False),
        sa.Column("buyer_id", sa.String(43)),
        sa.Column("amount_minor", sa.BigInteger),
        sa.Column("is_on_time", sa.Integer),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "kind", name="pk_trust_facts"),
    )
    op.create_index("ix_trust_facts_seller_id", "trust_facts", ["seller_id"])
    op.create_table(
        "trust_pairs",
        sa.Column("seller_id", sa.String(43), nullable=False),
        sa.Column("buyer_id", sa.String(43), nullable=False),
        *_counters("facts", *_ORDER_COUNTERS),
        sa.PrimaryKeyConstraint("seller_id", "buyer_id", name="pk_trust_pairs"),
    )
    op.create_table(
        "trust_standings",
        sa.Column("seller_id", sa.String(43), nullable=False),
        sa.Column("good_micro", sa.BigInteger, nullable=False),
        sa.Column("bad_micro", sa.BigInteger, nullable=False),
        *_counters(*_ORDER_COUNTERS, *_SELLER_COUNTERS),
        sa.PrimaryKeyConstraint("seller_id", name="pk_trust_standings"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("trust_standings", "trust_pairs", "trust_facts"):
        op.drop_table(table)
