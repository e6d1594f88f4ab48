"""Tables of recommendations: what was said, and to whom."""

from sqlalchemy import Column, Index, PrimaryKeyConstraint, String, Table, Text

from market.base.tables import UtcDateTime, metadata

recommendations = Table(
    "recommendations",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("receipt_id", String(40), nullable=False),
    Column("order_id", String(40), nullable=False),
    Column("service_id", String(40), nullable=False),
    Column("slug", String(48), nullable=False),
    Column("from_id", String(43), nullable=False),
    Column("comment", Text, nullable=False),
    Column("sent_at", UtcDateTime, nullable=False),
    Column("commitment", Text, nullable=False),
    Index("ix_recommendations_from_id_id", "from_id", "id"),
)

recipients = Table(
    "recommendation_recipients",
    metadata,
    Column("receipt_id", String(40), nullable=False),
    Column("recipient_id", String(43), nullable=False),
    Column("recommendation_id", String(40), nullable=False),
    PrimaryKeyConstraint("receipt_id", "recipient_id"),
    Index(None, "recommendation_id"),
)
"""One row per agent told on the strength of a receipt: it is told once."""
