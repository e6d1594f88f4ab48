"""What quotas count by, and what tells of agents, keys and delegations that were shut out.

A stream keeps the weight of its own entries, so that nobody has to add them up. An agent that is
suspended keeps a mark until all that it had running is paused; those who are suspended when this
arrives are looked after once more, which changes nothing for what is paused.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_sessions_buyer_id_open", "sessions", "buyer_id", "closed_at IS NULL"),
    ("ix_quotes_buyer_id_unused", "quotes", "buyer_id", "redeemed_at IS NULL"),
    ("ix_agents_suspended_at", "agents", "suspended_at", "suspended_at IS NOT NULL"),
    ("ix_agents_unfinished", "agents", "id", "suspended_at IS NOT NULL AND shut_at IS NULL"),
    ("ix_agent_keys_revoked_at", "agent_keys", "revoked_at", "revoked_at IS NOT NULL"),
    ("ix_delegations_revoked_at", "delegations", "revoked_at", "revoked_at IS NOT NULL"),
)


def upgrade() -> None:
    """Weigh the streams, add the mark, and the indexes of the few rows that are asked for."""
    op.add_column(
        "streams", sa.Column("bytes", sa.BigInteger, nullable=False, server_default=sa.text("0"))
    )
    op.execute(
        "UPDATE streams SET bytes = (SELECT COALESCE(SUM(LENGTH(stream_entries.data)), 0) "
        "FROM stream_entries WHERE stream_entries.stream_id = streams.id)"
    )
    op.add_column("agents", sa.Column("shut_at", sa.BigInteger, nullable=True))
    for name, table, column, rows in _INDEXES:
        where = sa.text(rows)
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Drop them."""
    for name, table, _, _ in reversed(_INDEXES):
        op.drop_index(name, table)
    op.drop_column("agents", "shut_at")
    op.drop_column("streams", "bytes")
