"""Delegations of sub-agents, and the runs in which they work, with the controls that wait."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "delegations",
        sa.Column("delegator_id", sa.String(43), nullable=False),
        sa.Column("jti", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(43)),
        sa.Column("delegate_id", sa.String(43)),
        sa.Column("session_id", sa.String(40)),
        sa.Column("order_id", sa.String(40)),
        sa.Column("run", sa.String(64)),
        sa.Column("digest", sa.String(43)),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("delegator_id", "jti", name="pk_delegations"),
    )
    op.create_index("ix_delegations_expires_at", "delegations", ["expires_at"])
    op.create_table(
        "session_runs",
        sa.Column("session_id", sa.String(40), nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("actor_id", sa.String(64), nullable=True),
        sa.Column("order_id", sa.String(40), nullable=True),
        sa.Column("audience", sa.String(8), nullable=False),
        sa.Column("started_offset", sa.BigInteger, nullable=True),
        sa.Column("paused_offset", sa.BigInteger, nullable=True),
        sa.Column("paused_by", sa.String(12), nullable=True),
        sa.Column("cancelled_offset", sa.BigInteger, nullable=True),
        sa.Column("ended_offset", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("session_id", "run", name="pk_session_runs"),
    )
    op.create_table(
        "run_steps",
        sa.Column("session_id", sa.String(40), nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("attempt", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "run", "step", name="pk_run_steps"),
    )
    op.create_table(
        "run_steers",
        sa.Column("session_id", sa.String(40), nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("answer", sa.String(12), nullable=True),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("answer_by", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("session_id", "offset", name="pk_run_steers"),
    )
    op.create_index("ix_run_steers_answer_by", "run_steers", ["answer_by"])


def downgrade() -> None:
    """Drop them."""
    for table in ("run_steers", "run_steps", "session_runs", "delegations"):
        op.drop_table(table)
