"""The market's signatures over session logs, so that no history can be rewritten unseen."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table. A checkpoint that was signed never changes."""
    op.create_table(
        "session_checkpoints",
        sa.Column("session_id", sa.String(40), nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("signed_at", sa.BigInteger, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "offset", name="pk_session_checkpoints"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER session_checkpoints_append_only "
            "BEFORE UPDATE OR DELETE ON session_checkpoints "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    else:
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER session_checkpoints_no_{act.lower()} "
                f"BEFORE {act} ON session_checkpoints "
                "BEGIN SELECT RAISE(ABORT, 'session_checkpoints is append-only'); END"
            )


def downgrade() -> None:
    """Drop it, triggers included."""
    op.drop_table("session_checkpoints")
