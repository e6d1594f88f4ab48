"""Services, the versions of their manifests, and quotes; with a full-text index that keeps itself.

The index is FTS5 on SQLite and a tsvector with GIN on PostgreSQL, fed by triggers, so that no
writer of ``services`` can forget it. ``manifests`` is append-only: a version never changes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_WORDS = ("named_words", "summary_words", "prose_words")


def upgrade() -> None:
    """Create the tables, the index and the triggers."""
    _create_services()
    _create_manifests()
    _create_quotes()
    if op.get_bind().dialect.name == "postgresql":
        _index_on_postgresql()
    else:
        _index_on_sqlite()


def downgrade() -> None:
    """Drop them; the triggers go with their tables."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    op.execute("DROP TABLE services_fts")
    for table in ("quotes", "manifests", "services"):
        op.drop_table(table)
    if is_postgresql:
        op.execute("DROP FUNCTION index_services_fts()")


def _create_services() -> None:
    op.create_table(
        "services",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(),
            nullable=False,
        ),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("slug", sa.String(48), nullable=False),
        sa.Column("seller_id", sa.String(43), nullable=False),
        sa.Column("seller_handle", sa.String(48), nullable=False),
        sa.Column("seller_principal_id", sa.String(43)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("manifest_digest", sa.String(43), nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("price_per", sa.String(8), nullable=False),
        sa.Column("unit", sa.Text),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("p95_ms", sa.Integer, nullable=False),
        sa.Column("refund", sa.String(32), nullable=False),
        *[sa.Column(name, sa.Text, nullable=False) for name in _WORDS],
        sa.Column("published_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_services"),
        sa.UniqueConstraint("id", name="uq_services_id"),
        sa.UniqueConstraint("slug", name="uq_services_slug"),
        sa.CheckConstraint(
            "state IN ('listed', 'withdrawn', 'suspended')", name="ck_services_state_known"
        ),
        sa.CheckConstraint("amount_minor > 0", name="ck_services_amount_above_zero"),
    )
    op.create_index("ix_services_seller_id", "services", ["seller_id"])


def _create_manifests() -> None:
    op.create_table(
        "manifests",
        sa.Column("digest", sa.String(43), nullable=False),
        sa.Column("service_id", sa.String(40), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
        sa.Column("jws", sa.Text, nullable=False),
        sa.Column("published_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_manifests"),
    )
    op.create_index("ix_manifests_service_id", "manifests", ["service_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER manifests_append_only BEFORE UPDATE OR DELETE ON manifests "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        return
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER manifests_no_{act.lower()} BEFORE {act} ON manifests "
            "BEGIN SELECT RAISE(ABORT, 'manifests is append-only'); END"
        )


def _create_quotes() -> None:
    op.create_table(
        "quotes",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("service_id", sa.String(40), nullable=False),
        sa.Column("slug", sa.String(48), nullable=False),
        sa.Column("seller_id", sa.String(43), nullable=False),
        sa.Column("buyer_id", sa.String(43), nullable=False),
        sa.Column("manifest_digest", sa.String(43), nullable=False),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("input_digest", sa.String(43), nullable=False),
        sa.Column("units", sa.BigInteger, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("price_per", sa.String(8), nullable=False),
        sa.Column("deliver_seconds", sa.Integer, nullable=False),
        sa.Column("max_chunks", sa.Integer, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("refund", sa.String(32), nullable=False),
        sa.Column("refund_window_seconds", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(43), nullable=False),
        sa.Column("quote", sa.Text, nullable=False),
        sa.Column("quoted_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("redeemed_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_quotes"),
        sa.CheckConstraint("amount_minor > 0", name="ck_quotes_amount_above_zero"),
        sa.CheckConstraint("units > 0", name="ck_quotes_units_above_zero"),
    )
    unused = sa.text("redeemed_at IS NULL")
    op.create_index(
        "ix_quotes_expires_at_unused",
        "quotes",
        ["expires_at"],
        sqlite_where=unused,
        postgresql_where=unused,
    )


def _index_on_sqlite() -> None:
    columns = ", ".join(_WORDS)
    old = ", ".join(f"old.{name}" for name in _WORDS)
    new = ", ".join(f"new.{name}" for name in _WORDS)
    forget = (
        f"INSERT INTO services_fts (services_fts, rowid, {columns}) "
        f"VALUES ('delete', old.number, {old});"
    )
    keep = f"INSERT INTO services_fts (rowid, {columns}) VALUES (new.number, {new});"
    op.execute(
        f"CREATE VIRTUAL TABLE services_fts USING fts5({columns}, "
        "content='services', content_rowid='number', tokenize='unicode61 remove_diacritics 0')"
    )
    # Words in slug and tags count most when the best candidates are chosen.
    op.execute(
        "INSERT INTO services_fts (services_fts, rank) VALUES ('rank', 'bm25(8.0, 4.0, 1.0)')"
    )
    op.execute(f"CREATE TRIGGER services_insert_words AFTER INSERT ON services BEGIN {keep} END")
    op.execute(
        f"CREATE TRIGGER services_update_words AFTER UPDATE OF {columns} ON services "
        f"BEGIN {forget} {keep} END"
    )
    op.execute(f"CREATE TRIGGER services_delete_words AFTER DELETE ON services BEGIN {forget} END")


def _index_on_postgresql() -> None:
    op.execute(
        "CREATE TABLE services_fts (number bigint CONSTRAINT pk_services_fts PRIMARY KEY "
        "REFERENCES services (number) ON DELETE CASCADE, words tsvector NOT NULL)"
    )
    op.execute("CREATE INDEX ix_services_fts_words ON services_fts USING gin (words)")
    vector = " || ".join(
        f"setweight(to_tsvector('simple', NEW.{name}), '{weight}')"
        for name, weight in zip(_WORDS, "ABD", strict=True)
    )
    op.execute(
        "CREATE FUNCTION index_services_fts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"INSERT INTO services_fts VALUES (NEW.number, {vector}) "
        "ON CONFLICT (number) DO UPDATE SET words = excluded.words; RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER services_index_words AFTER INSERT OR UPDATE OF {', '.join(_WORDS)} "
        "ON services FOR EACH ROW EXECUTE FUNCTION index_services_fts()"
    )
