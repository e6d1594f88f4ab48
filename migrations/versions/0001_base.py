"""Streams and remembered answers: the ground on which every room stands.

``stream_entries`` is append-only by trigger on both databases, so that no code path, and no
hurried operator, can change what was said.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and their triggers."""
    op.create_table(
        "idempotency_answers",
        sa.Column("agent_id", sa.String(64), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("is_refusal", sa.Integer, nullable=False),
        sa.Column("answered_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "key", name="pk_idempotency_answers"),
    )
    op.create_index("ix_idempotency_answers_answered_at", "idempotency_answers", ["answered_at"])
    op.create_table(
        "streams",
        sa.Column("id", sa.String(80), nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("is_closed", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_streams"),
    )
    op.create_table(
        "stream_entries",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(),
            nullable=False,
        ),
        sa.Column("stream_id", sa.String(80), nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_stream_entries"),
        sa.ForeignKeyConstraint(["stream_id"], ["streams.id"], name="fk_stream_entries_stream_id"),
    )
    op.create_index(
        "uq_stream_entries_stream_id_offset", "stream_entries", ["stream_id", "offset"], unique=True
    )
    op.create_table(
        "stream_producers",
        sa.Column("stream_id", sa.String(80), nullable=False),
        sa.Column("producer_id", sa.String(64), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "producer_id", name="pk_stream_producers"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # The whole-market feed reads by (transaction, position): a sequence alone loses entries.
        op.execute(
            "ALTER TABLE stream_entries ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id()"
        )
        op.create_index("ix_stream_entries_xid_position", "stream_entries", ["xid", "position"])
        op.execute(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
        op.execute(
            "CREATE TRIGGER stream_entries_append_only BEFORE UPDATE OR DELETE ON stream_entries "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    else:
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER stream_entries_no_{act.lower()} BEFORE {act} ON stream_entries "
                "BEGIN SELECT RAISE(ABORT, 'stream_entries is append-only'); END"
            )


def downgrade() -> None:
    """Drop them, triggers included."""
    for table in ("stream_producers", "stream_entries", "streams", "idempotency_answers"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")
