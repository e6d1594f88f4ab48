"""Who is present in a session, how long a worker's lease lasts, and who paused what.

A worker that gives no sign of life must not hold an order until its deadline, and a pause may only
be lifted by one who ranks as high as whoever made it. Orders that are paused when this arrives get
an end for their pause: the hour that is the default of ``MARKET_PAUSE_SECONDS``.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

HOUR_MICROSECONDS = 3_600_000_000


def upgrade() -> None:
    """Create the table, add the columns, and say of paused orders who paused them."""
    op.create_table(
        "session_presence",
        sa.Column("session_id", sa.String(40), nullable=False),
        sa.Column("agent_id", sa.String(64), nullable=False),
        sa.Column("device", sa.String(40), nullable=False),
        sa.Column("order_id", sa.String(40), nullable=True),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("joined_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "agent_id", "device", name="pk_session_presence"),
    )
    op.create_index("ix_session_presence_seen_at", "session_presence", ["seen_at"])
    op.add_column("sessions", sa.Column("paused_by", sa.String(12), nullable=True))
    op.add_column("sessions", sa.Column("pause_offset", sa.BigInteger, nullable=True))
    op.add_column("orders", sa.Column("lease_until", sa.BigInteger, nullable=True))
    op.add_column("orders", sa.Column("fails_at", sa.BigInteger, nullable=True))
    op.add_column("orders", sa.Column("paused_by", sa.String(12), nullable=True))
    op.execute(
        "UPDATE orders SET paused_by = CASE WHEN paused_at IS NULL THEN 'seller' ELSE 'buyer' END, "
        f"due_at = COALESCE(paused_at + {HOUR_MICROSECONDS}, due_at) WHERE is_paused = 1"
    )


def downgrade() -> None:
    """Forget presence and leases; a paused order waits without an end, as it did."""
    op.execute("UPDATE orders SET due_at = NULL WHERE is_paused = 1 AND paused_at IS NOT NULL")
    for table, columns in (
        ("orders", ("paused_by", "fails_at", "lease_until")),
        ("sessions", ("pause_offset", "paused_by")),
    ):
        for column in columns:
            op.drop_column(table, column)
    op.drop_table("session_presence")
