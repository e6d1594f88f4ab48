"""The one ``metadata``, its naming rules, and the column types that both databases share.

Moments are microseconds since 1970 in a BIGINT and trees are canonical JSON text, so that SQLite,
PostgreSQL and Parquet hold the same values. ``base.sql`` does the conversion on the way.
"""

from sqlalchemy import BigInteger, Integer, MetaData, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(BigInteger):
    """A moment in UTC, kept as microseconds since 1970."""


class JsonText(Text):
    """A JSON tree, kept as canonical text."""


class Flag(Integer):
    """A boolean, kept as 0 or 1, so that both databases compare it alike."""
