"""Accounts, transactions and their postings; the postings of the house that wait to be folded."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    and_,
)
from sqlalchemy import literal_column as literal

from market.base.tables import UtcDateTime, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("owner_id", String(43), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("balance_minor", BigInteger, nullable=False),
    Column("earned_minor", BigInteger, nullable=False, server_default="0"),
    Column("payer_id", String(32)),
    Column("opened_at", UtcDateTime, nullable=False),
    UniqueConstraint("owner_id", "kind", "currency"),
    CheckConstraint("kind IN ('wallet', 'bond', 'escrow', 'fees', 'issuance')", name="kind"),
    CheckConstraint("kind IN ('fees', 'issuance') OR balance_minor >= 0", name="balance"),
)
"""One row per account. ``owner_id``: the agent of a wallet or bond, the order of an escrow,
"market" for the house. ``payer_id``: the wallet that filled an escrow. ``balance_minor`` is the sum
of the postings, but for the house: there it lacks what is in ``unfolded_postings``.
``earned_minor`` is what a wallet got for orders, less what it refunded.
"""

is_filled = and_(accounts.c.payer_id.is_not(None), accounts.c.balance_minor > literal("0"))
"""Escrows with money in them: few, among all that ever were."""

Index(
    "ix_accounts_payer_id", accounts.c.payer_id, sqlite_where=is_filled, postgresql_where=is_filled
)

transactions = Table(
    "transactions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("reason", String(32), nullable=False),
    Column("order_id", String(32)),
    Column("idempotency_key", String(200), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    UniqueConstraint("idempotency_key"),
    CheckConstraint("amount_minor > 0", name="amount"),
)
"""One row per balanced act. ``amount_minor`` is what it moves: the sum of its credits."""

postings = Table(
    "postings",
    metadata,
    Column("account_id", String(32), nullable=False),
    Column("transaction_id", String(32), ForeignKey("transactions.id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("balance_minor", BigInteger),
    PrimaryKeyConstraint("account_id", "transaction_id"),
    CheckConstraint("amount_minor <> 0", name="amount"),
)
"""One row per change of one account, append-only. ``balance_minor`` is what the account then held;
the house has none. There is no foreign key to ``accounts``: on PostgreSQL every posting would lock
the row of the fee account.
"""

unfolded_postings = Table(
    "unfolded_postings",
    metadata,
    Column("account_id", String(32), nullable=False),
    Column("transaction_id", String(32), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint("account_id", "transaction_id"),
)
"""Postings of the house that are not yet in its balance. A row leaves in the very change that
adds it to the balance, so no order of commits between workers can lose or double one.
"""
