"""Prices in tiers and with caps, counter-offers, referral shares."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


_NONE = sa.text("0")
_COLUMNS = {
    "services": {"price_until": sa.BigInteger},
    "quotes": {
        "terms": sa.Text,
        "referral_basis_points": sa.Integer,
        "origin_id": sa.String(40),
        "root_id": sa.String(40),
    },
    "orders": {
        "terms": sa.Text,
        "referral_basis_points": sa.Integer,
        "referrer_id": sa.String(64),
        "recommendation_id": sa.String(40),
        "referral_minor": sa.BigInteger,
        "captures": sa.Integer,
    },
}
"""Without ``terms``, price, units and ``price_per`` say all there is: what was before."""

_COUNTED = {"referral_basis_points", "referral_minor", "captures"}


def upgrade() -> None:
    """Add what quotes and orders say of their price, and the tables of bargains and referrals."""
    for table, columns in _COLUMNS.items():
        for name, kind in columns.items():
            is_counted = name in _COUNTED
            start = _NONE if is_counted else None
            op.add_column(
                table, sa.Column(name, kind, nullable=not is_counted, server_default=start)
            )
    op.execute("UPDATE orders SET captures = 1 WHERE captured_minor > 0")
    op.create_table(
        "counter_offers",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("quote_id", sa.String(40), nullable=False),
        sa.Column("quote_digest", sa.String(43), nullable=False),
        sa.Column("root_id", sa.String(40), nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("session_id", sa.String(40)),
        sa.Column("service_id", sa.String(40), nullable=False),
        sa.Column("slug", sa.String(48), nullable=False),
        sa.Column("seller_id", sa.String(43), nullable=False),
        sa.Column("buyer_id", sa.String(43), nullable=False),
        sa.Column("units", sa.BigInteger, nullable=False),
        sa.Column("quoted_minor", sa.BigInteger, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("offer", sa.Text),
        sa.Column("answer_quote_id", sa.String(40)),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_counter_offers"),
        sa.UniqueConstraint("root_id", "round", name="uq_counter_offers_root_id_round"),
        sa.CheckConstraint(
            "state IN ('open', 'answered', 'declined', 'refused', 'expired')",
            name="ck_counter_offers_state_known",
        ),
        sa.CheckConstraint("amount_minor > 0", name="ck_counter_offers_amount_above_zero"),
    )
    for side in ("buyer_id", "seller_id"):
        op.create_index(f"ix_counter_offers_{side}_id", "counter_offers", [side, "id"])
    is_open = sa.text("state = 'open'")
    op.create_index(
        "ix_counter_offers_expires_at_open",
        "counter_offers",
        ["expires_at"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_table(
        "order_referrals",
        sa.Column("buyer_id", sa.String(64), nullable=False),
        sa.Column("service_id", sa.String(40), nullable=False),
        sa.Column("referrer_id", sa.String(64), nullable=False),
        sa.Column("recommendation_id", sa.String(40), nullable=False),
        sa.Column("told_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("buyer_id", "service_id", name="pk_order_referrals"),
    )


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("order_referrals")
    op.drop_table("counter_offers")
    for table, columns in _COLUMNS.items():
        for name in reversed(columns):
            op.drop_column(table, name)
