"""How far each agent has handled its inbox; the messages themselves are a stream."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "inboxes",
        sa.Column("agent_id", sa.String(43), nullable=False),
        sa.Column("acknowledged", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("agent_id", name="pk_inboxes"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("inboxes")
