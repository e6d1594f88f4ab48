"""Sessions and who takes part in them; their events are stream entries."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("buyer_id", sa.String(64), nullable=False),
        sa.Column("principal_id", sa.String(64), nullable=True),
        sa.Column("need", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("closed_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_buyer_id_id", "sessions", ["buyer_id", "id"])
    op.create_index("ix_sessions_principal_id_id", "sessions", ["principal_id", "id"])
    op.create_table(
        "session_members",
        sa.Column("session_id", sa.String(40), nullable=False),
        sa.Column("agent_id", sa.String(64), nullable=False),
        sa.Column("order_id", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "agent_id", "order_id", name="pk_session_members"),
    )
    op.create_index(
        "ix_session_members_agent_id_session_id", "session_members", ["agent_id", "session_id"]
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("session_members")
    op.drop_table("sessions")
