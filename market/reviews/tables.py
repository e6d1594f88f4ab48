"""Tables of reviews: what a buyer says of an order now, and everything it has said of it."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from market.base.tables import JsonText, UtcDateTime, metadata

reviews = Table(
    "reviews",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("order_id", String(40), nullable=False),
    Column("receipt_id", String(40), nullable=False),
    Column("service_id", String(40), nullable=False),
    Column("seller_id", String(43), nullable=False),
    Column("buyer_id", String(43), nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("comment", Text, nullable=False),
    Column("tags", JsonText, nullable=False),
    Column("posted_at", UtcDateTime, nullable=False),
    Column("commitment", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    UniqueConstraint("order_id"),
    CheckConstraint("verdict IN ('good', 'bad')", name="verdict_known"),
    Index("ix_reviews_service_id_id", "service_id", "id"),
)
"""One row per reviewed order, in the latest version; ``posted_at`` is that of the first."""

review_versions = Table(
    "review_versions",
    metadata,
    Column("review_id", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("comment", Text, nullable=False),
    Column("tags", JsonText, nullable=False),
    Column("posted_at", UtcDateTime, nullable=False),
    Column("commitment", Text, nullable=False),
    PrimaryKeyConstraint("review_id", "version"),
)
"""One row per version of a review, never changed."""
