"""What a principal has waiting for its approval is found without reading every order."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_NAME = "ix_orders_awaiting_approval"


def upgrade() -> None:
    """Add the index of the few orders that wait."""
    where = sa.text("state = 'awaiting_approval'")
    op.create_index(
        _NAME, "orders", ["principal_id", "id"], sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index(_NAME, "orders")
