"""Bonds, order caps, and what is frozen.

A bond is an account of its own beside the wallet. What an account has earned (captured for it,
less what it refunded) is kept beside its balance, so that the cap on a seller's orders needs no
sum over its past; for accounts that are older it is summed up here, once. Orders that are open when
this arrives were placed under no limits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_EARNED = """
UPDATE accounts SET earned_minor = (
    SELECT CAST(COALESCE(SUM(postings.amount_minor), 0) AS BIGINT)
    FROM postings JOIN transactions ON transactions.id = postings.transaction_id
    JOIN orders ON orders.id = transactions.order_id
    WHERE postings.account_id = accounts.id AND orders.seller_id = accounts.owner_id
    AND transactions.reason IN ('escrow.capture', 'order.refund')
) WHERE kind = 'wallet'
"""

_BONDS = """
FROM accounts AS bond JOIN accounts AS wallet ON wallet.kind = 'wallet'
AND wallet.owner_id = bond.owner_id AND wallet.currency = bond.currency
WHERE bond.kind = 'bond' AND bond.balance_minor > 0
"""
_ID = "'txn_0' || substr(bond.id, 6)"
_RELEASES = (
    "INSERT INTO transactions "
    "(id, reason, order_id, idempotency_key, amount_minor, recorded_at) "
    f"SELECT {_ID}, 'bond.release', NULL, 'unbonded:' || bond.id, bond.balance_minor, "
    f"bond.opened_at {_BONDS}",
    "INSERT INTO postings (account_id, transaction_id, amount_minor, balance_minor) "
    f"SELECT bond.id, {_ID}, -bond.balance_minor, 0 {_BONDS}",
    "INSERT INTO postings (account_id, transaction_id, amount_minor, balance_minor) "
    f"SELECT wallet.id, {_ID}, bond.balance_minor, wallet.balance_minor + bond.balance_minor "
    f"{_BONDS}",
    "UPDATE accounts SET balance_minor = balance_minor + (SELECT bond.balance_minor "
    "FROM accounts AS bond WHERE bond.kind = 'bond' AND bond.owner_id = accounts.owner_id "
    "AND bond.currency = accounts.currency) WHERE kind = 'wallet' AND EXISTS (SELECT 1 "
    "FROM accounts AS bond WHERE bond.kind = 'bond' AND bond.owner_id = accounts.owner_id "
    "AND bond.currency = accounts.currency)",
    # Its postings stay for ever, and so must the account; an escrow is the only other kind that
    # an agent may have besides its wallet.
    "UPDATE accounts SET kind = 'escrow', balance_minor = 0 WHERE kind = 'bond'",
)


def upgrade() -> None:
    """Create the tables, open the ledger to bonds, and sum up what was earned so far."""
    op.create_table(
        "order_limits",
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("typical_minor", sa.BigInteger, nullable=False),
        sa.Column("start_cap_minor", sa.BigInteger, nullable=False),
        sa.Column("bond_minor", sa.BigInteger, nullable=False),
        sa.Column("orders", sa.BigInteger, nullable=False),
        sa.Column("computed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("currency", name="pk_order_limits"),
    )
    op.create_table(
        "frozen_sellers",
        sa.Column("seller_id", sa.String(43), nullable=False),
        sa.Column("frozen_at", sa.BigInteger, nullable=False),
        sa.Column("cleared_at", sa.BigInteger, nullable=True),
        sa.Column("cleared_by", sa.String(43), nullable=True),
        sa.Column("reason", sa.Text, nullable=True),
        sa.Column("open_orders", sa.Integer, nullable=False),
        sa.Column("good_orders", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("seller_id", name="pk_frozen_sellers"),
    )
    op.add_column("orders", sa.Column("gate", sa.String(12), nullable=True))
    _change_accounts(("wallet", "bond", "escrow", "fees", "issuance"), is_earning=True)
    op.execute(_EARNED)


def downgrade() -> None:
    """Release every bond to its wallet, by a transaction like any other, and forget the limits."""
    for statement in _RELEASES:
        op.execute(statement)
    _change_accounts(("wallet", "escrow", "fees", "issuance"), is_earning=False)
    op.drop_column("orders", "gate")
    for table in ("frozen_sellers", "order_limits"):
        op.drop_table(table)


def _change_accounts(kinds: tuple[str, ...], *, is_earning: bool) -> None:
    """Let accounts be of these kinds, with or without what they have earned."""
    known = "kind IN ({})".format(", ".join(f"'{kind}'" for kind in kinds))
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("ck_accounts_kind", "accounts", type_="check")
        op.create_check_constraint("ck_accounts_kind", "accounts", known)
        if is_earning:
            op.add_column("accounts", _earned())
        else:
            op.drop_column("accounts", "earned_minor")
        return
    # SQLite changes no constraint of a table that is there: a new one takes its rows and name.
    columns = "id, kind, owner_id, currency, balance_minor, payer_id, opened_at"
    op.create_table(
        "accounts_anew",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("owner_id", sa.String(43), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("balance_minor", sa.BigInteger, nullable=False),
        *([_earned()] if is_earning else []),
        sa.Column("payer_id", sa.String(32)),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint(
            "owner_id", "kind", "currency", name="uq_accounts_owner_id_kind_currency"
        ),
        sa.CheckConstraint(known, name="ck_accounts_kind"),
        sa.CheckConstraint(
            "kind IN ('fees', 'issuance') OR balance_minor >= 0", name="ck_accounts_balance"
        ),
    )
    op.execute(f"INSERT INTO accounts_anew ({columns}) SELECT {columns} FROM accounts")
    op.drop_index("ix_accounts_payer_id", "accounts")
    op.drop_table("accounts")
    op.rename_table("accounts_anew", "accounts")
    is_filled = sa.text("payer_id IS NOT NULL AND balance_minor > 0")
    op.create_index("ix_accounts_payer_id", "accounts", ["payer_id"], sqlite_where=is_filled)


def _earned() -> sa.Column[int]:
    return sa.Column("earned_minor", sa.BigInteger, nullable=False, server_default="0")
