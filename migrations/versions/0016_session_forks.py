"""Sessions that begin with the history of another, to replay a journey from there.

The stream of the fork shares the entries up to ``source_offset``; what it was forked from stands
here, and in the fork's own first event.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a session name its source."""
    op.add_column("sessions", sa.Column("source_session_id", sa.String(40), nullable=True))
    op.add_column("sessions", sa.Column("source_offset", sa.BigInteger, nullable=True))


def downgrade() -> None:
    """Forget which sessions are forks. Their streams still know, and their logs still say it."""
    for column in ("source_offset", "source_session_id"):
        op.drop_column("sessions", column)
