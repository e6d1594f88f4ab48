"""Bring a store's tables to the present form (alembic, ``migrations/``)."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event

import migrations
from market.base.database import sqlite_path
from market.base.settings import Settings


def migrate(settings: Settings, *, revision: str = "head") -> None:
    """Apply every migration up to ``revision``; a repeat changes nothing."""
    settings.home.mkdir(parents=True, exist_ok=True)
    url = settings.store.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url or f"sqlite:///{sqlite_path(settings)}")
    if not url:
        event.listen(engine, "connect", _write_ahead)
    try:
        with engine.begin() as connection:
            _run(connection, revision)
    finally:
        engine.dispose()


def downgrade(settings: Settings, *, revision: str) -> None:
    """Undo migrations down to ``revision`` ("base": all of them)."""
    url = settings.store.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url or f"sqlite:///{sqlite_path(settings)}")
    try:
        with engine.begin() as connection:
            command.downgrade(_config(connection), revision)
    finally:
        engine.dispose()


def _run(connection: Connection, revision: str) -> None:
    command.upgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config


def _write_ahead(connection: object, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")  # type: ignore[attr-defined]
