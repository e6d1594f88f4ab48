"""Streams that fork, and streams that end: what the open protocol for durable streams asks for.

A fork shares its source's entries below ``forked_at``. Entries stay append-only, with the one
exception of a stream that is gone: its rows may leave, a slice at a time. ``raw_streams`` is what
the room of the same name knows of a stream under a path; one path has one stream that is not gone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_GONE = "EXISTS (SELECT 1 FROM streams WHERE id = OLD.stream_id AND is_gone = 1)"


def upgrade() -> None:
    """Let streams fork and go; create the table of raw streams."""
    for column in (
        sa.Column("source_id", sa.String(80), nullable=True),
        sa.Column("forked_at", sa.BigInteger, nullable=True),
        sa.Column("is_gone", sa.Integer, nullable=False, server_default="0"),
    ):
        op.add_column("streams", column)
    with op.batch_alter_table("stream_producers") as producers:
        producers.alter_column("producer_id", type_=sa.String(256), existing_nullable=False)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_unless_gone() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF {_GONE} THEN RETURN OLD; END IF; "
            "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
        op.execute("DROP TRIGGER stream_entries_append_only ON stream_entries")
        op.execute(
            "CREATE TRIGGER stream_entries_append_only BEFORE UPDATE ON stream_entries "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            "CREATE TRIGGER stream_entries_stay BEFORE DELETE ON stream_entries "
            "FOR EACH ROW EXECUTE FUNCTION refuse_unless_gone()"
        )
    else:
        op.execute("DROP TRIGGER stream_entries_no_delete")
        op.execute(
            "CREATE TRIGGER stream_entries_no_delete BEFORE DELETE ON stream_entries "
            f"WHEN NOT {_GONE} "
            "BEGIN SELECT RAISE(ABORT, 'stream_entries is append-only'); END"
        )
    op.create_table(
        "raw_streams",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("path", sa.String(512), nullable=False),
        sa.Column("owner_id", sa.String(64), nullable=False),
        sa.Column("access", sa.String(8), nullable=False),
        sa.Column("content_type", sa.String(255), nullable=False),
        sa.Column("ttl_seconds", sa.BigInteger, nullable=True),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("lapses_at", sa.BigInteger, nullable=True),
        sa.Column("source_id", sa.String(40), nullable=True),
        sa.Column("forked_at", sa.BigInteger, nullable=True),
        sa.Column("forked_within", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("last_seq", sa.Text, nullable=True),
        sa.Column("closed_by", sa.Text, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_raw_streams"),
    )
    op.create_index(
        "uq_raw_streams_path",
        "raw_streams",
        ["path"],
        unique=True,
        sqlite_where=sa.text("state <> 'gone'"),
        postgresql_where=sa.text("state <> 'gone'"),
    )
    op.create_index("ix_raw_streams_source_id", "raw_streams", ["source_id"])
    op.create_index("ix_raw_streams_lapses_at", "raw_streams", ["lapses_at"])
    op.create_index(
        "ix_raw_streams_gone",
        "raw_streams",
        ["id"],
        sqlite_where=sa.text("state = 'gone'"),
        postgresql_where=sa.text("state = 'gone'"),
    )


def downgrade() -> None:
    """Back to streams that neither fork nor go."""
    op.drop_table("raw_streams")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER stream_entries_stay ON stream_entries")
        op.execute("DROP TRIGGER stream_entries_append_only ON stream_entries")
        op.execute("DROP FUNCTION refuse_unless_gone()")
        op.execute(
            "CREATE TRIGGER stream_entries_append_only BEFORE UPDATE OR DELETE ON stream_entries "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    else:
        op.execute("DROP TRIGGER stream_entries_no_delete")
        op.execute(
            "CREATE TRIGGER stream_entries_no_delete BEFORE DELETE ON stream_entries "
            "BEGIN SELECT RAISE(ABORT, 'stream_entries is append-only'); END"
        )
    with op.batch_alter_table("stream_producers") as producers:
        producers.alter_column("producer_id", type_=sa.String(64), existing_nullable=False)
    for column in ("is_gone", "forked_at", "source_id"):
        op.drop_column("streams", column)
