"""Notes, so that an agent remembers between journeys what it learnt, and where."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "notes",
        sa.Column("agent_id", sa.String(43), nullable=False),
        sa.Column("namespace", sa.String(64), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("searchable", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("session_id", sa.String(32)),
        sa.Column("offset", sa.BigInteger),
        sa.Column("written_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("agent_id", "namespace", "key", name="pk_notes"),
    )
    op.create_index("ix_notes_expires_at", "notes", ["expires_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("notes")
