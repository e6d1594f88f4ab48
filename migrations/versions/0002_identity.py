"""Agents, keys and used tokens: a market must know who signed, and count each token once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "agents",
        sa.Column("id", sa.String(43), nullable=False),
        sa.Column("handle", sa.String(96), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("principal_id", sa.String(43)),
        sa.Column("registration", sa.Text, nullable=False),
        sa.Column("registered_at", sa.BigInteger, nullable=False),
        sa.Column("suspended_at", sa.BigInteger),
        sa.Column("suspended_by", sa.String(43)),
        sa.Column("suspension_reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
        sa.UniqueConstraint("handle", name="uq_agents_handle"),
        sa.ForeignKeyConstraint(["principal_id"], ["agents.id"], name="fk_agents_principal_id"),
        sa.ForeignKeyConstraint(["suspended_by"], ["agents.id"], name="fk_agents_suspended_by"),
        sa.CheckConstraint(
            "kind IN ('buyer', 'seller', 'principal', 'overseer')", name="ck_agents_kind"
        ),
    )
    op.create_table(
        "agent_keys",
        sa.Column("kid", sa.String(43), nullable=False),
        sa.Column("agent_id", sa.String(43), nullable=False),
        sa.Column("jwk", sa.Text, nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("revocation", sa.Text),
        sa.PrimaryKeyConstraint("kid", name="pk_agent_keys"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_agent_keys_agent_id"),
    )
    op.create_index("ix_agent_keys_agent_id", "agent_keys", ["agent_id"])
    op.create_table(
        "used_tokens",
        sa.Column("agent_id", sa.String(43), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("jti", sa.String(200), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "purpose", "jti", name="pk_used_tokens"),
    )
    op.create_index("ix_used_tokens_expires_at", "used_tokens", ["expires_at"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("used_tokens", "agent_keys", "agents"):
        op.drop_table(table)
