"""Double-entry accounts, so that money is neither made nor lost but where the ledger says so.

``transactions`` and ``postings`` are append-only by trigger on both databases: a mistake gets a
new transaction.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

APPEND_ONLY = ("transactions", "postings")


def upgrade() -> None:
    """Create the tables and their triggers."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("owner_id", sa.String(43), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("balance_minor", sa.BigInteger, nullable=False),
        sa.Column("payer_id", sa.String(32)),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint(
            "owner_id", "kind", "currency", name="uq_accounts_owner_id_kind_currency"
        ),
        sa.CheckConstraint(
            "kind IN ('wallet', 'escrow', 'fees', 'issuance')", name="ck_accounts_kind"
        ),
        sa.CheckConstraint(
            "kind IN ('fees', 'issuance') OR balance_minor >= 0", name="ck_accounts_balance"
        ),
    )
    # Escrows with money in them: few, among all that ever were.
    is_filled = sa.text("payer_id IS NOT NULL AND balance_minor > 0")
    op.create_index(
        "ix_accounts_payer_id",
        "accounts",
        ["payer_id"],
        sqlite_where=is_filled,
        postgresql_where=is_filled,
    )
    op.create_table(
        "transactions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("order_id", sa.String(32)),
        sa.Column("idempotency_key", sa.String(200), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transactions"),
        sa.UniqueConstraint("idempotency_key", name="uq_transactions_idempotency_key"),
        sa.CheckConstraint("amount_minor > 0", name="ck_transactions_amount"),
    )
    op.create_table(
        "postings",
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("transaction_id", sa.String(32), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("balance_minor", sa.BigInteger),
        sa.PrimaryKeyConstraint("account_id", "transaction_id", name="pk_postings"),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["transactions.id"], name="fk_postings_transaction_id"
        ),
        sa.CheckConstraint("amount_minor <> 0", name="ck_postings_amount"),
    )
    op.create_table(
        "unfolded_postings",
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("transaction_id", sa.String(32), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "transaction_id", name="pk_unfolded_postings"),
    )
    for table in APPEND_ONLY:
        if op.get_bind().dialect.name == "postgresql":
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            )
            op.execute(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            )
        else:
            for act in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )


def downgrade() -> None:
    """Drop the tables, and with them their triggers."""
    for table in ("unfolded_postings", "postings", "transactions", "accounts"):
        op.drop_table(table)
