"""The table of the inbox: how far each agent has come."""

from sqlalchemy import BigInteger, Column, String, Table

from market.base.tables import metadata

inboxes = Table(
    "inboxes",
    metadata,
    Column("agent_id", String(43), primary_key=True),
    Column("acknowledged", BigInteger, nullable=False),
)
"""One row per agent that has acknowledged anything: the last offset that it handled."""
