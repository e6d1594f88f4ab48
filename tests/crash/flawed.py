"""``python -m tests.crash.flawed FLAW serve``: a market with a planted bug, for proving the judge.

A zero is believed only of a checker that has been seen to count. No flaw is in the product: each
replaces a part of it in this process alone.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, Final

from market.base.database import Postgres, Sqlite
from market.base.jobs import Job
from market.base.store import Store
from market.base.work import Connection
from market.cli import main

DISK_SECONDS: Final = 0.05
"""How long a slow disk takes for a commit. It widens the gap that every disk has."""


def answer_before_commit() -> None:
    """Tell callers what their unit of work came to before it is on disk."""
    run_unit = Store._run_unit
    commits = {kind: kind.commit for kind in (Sqlite, Postgres)}

    def run_and_tell(self: Store, connection: Connection, job: Job) -> Any:
        appended = run_unit(self, connection, job)
        self._answer([job], [])
        return appended

    def commit_slowly(self: Any) -> None:
        time.sleep(DISK_SECONDS)
        commits[type(self)](self)

    Store._run_unit = run_and_tell  # type: ignore[method-assign]
    Sqlite.commit = commit_slowly  # type: ignore[method-assign]
    Postgres.commit = commit_slowly  # type: ignore[method-assign]


def commit_without_sync() -> None:
    """Let the database answer a commit before its log is on disk."""
    begin = Postgres._begin

    def begin_carelessly(self: Postgres) -> Connection:
        connection = begin(self)
        connection.execute("SET LOCAL synchronous_commit = off")
        return connection

    Postgres._begin = begin_carelessly  # type: ignore[method-assign]


FLAWS: Final[dict[str, Callable[[], None]]] = {
    "answer-before-commit": answer_before_commit,
    "commit-without-sync": commit_without_sync,
}


def command(flaw: str) -> list[str]:
    """What serves a market with this flaw."""
    return [sys.executable, "-m", "tests.crash.flawed", flaw, "serve"]


if __name__ == "__main__":
    FLAWS[sys.argv.pop(1)]()
    main()
