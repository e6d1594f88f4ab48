"""R: the order transaction as bare statements on ``sqlite3``, with the same durability.

One transaction is: an order (unique buyer and key), four ledger entries of two balanced transfers,
three guarded balance updates, one session counter, three events of about 150 bytes; seven
statements, several rows in one where that is possible, with ids as long as the market's.
"""

import sqlite3
import time
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

GROUP: Final = 50
ACCOUNTS: Final = 64

_SCHEMA: Final = """
CREATE TABLE orders (id TEXT PRIMARY KEY, buyer TEXT NOT NULL, key TEXT NOT NULL,
  seller TEXT NOT NULL, amount INTEGER NOT NULL, state TEXT NOT NULL, UNIQUE (buyer, key));
CREATE TABLE accounts (id TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0));
CREATE TABLE entries (account TEXT NOT NULL, txn TEXT NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (account, txn));
CREATE TABLE sessions (id TEXT PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE events (session TEXT NOT NULL, "offset" INTEGER NOT NULL, kind TEXT NOT NULL,
  body TEXT NOT NULL, PRIMARY KEY (session, "offset"));
"""
_BODY: Final = '{"service":"svc_01h455vb4pex5vsknk084sn02q","amount_minor":400000,"note":"' + (
    "x" * 60 + '"}'
)


class Slice(NamedTuple):
    """What a number of transactions took: how many a second, and CPU seconds for each."""

    per_second: float
    cpu_seconds: float


class RawLoop:
    """A database of its own, with a loop over it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA wal_autocheckpoint = 4000")
        self._connection.executescript(_SCHEMA)
        rows = [(_name("acc", number), 10**15) for number in range(ACCOUNTS)]
        self._connection.executemany("INSERT INTO accounts VALUES (?, ?)", rows)
        sessions = [(_name("ses", number), 0) for number in range(ACCOUNTS)]
        self._connection.executemany("INSERT INTO sessions VALUES (?, ?)", sessions)
        self._numbers = count()

    def run(self, orders: int, *, group: int = GROUP) -> Slice:
        """Place a number of orders, ``group`` of them in a commit."""
        began, began_cpu = time.perf_counter(), time.thread_time()
        for first in range(0, orders, group):
            self._connection.execute("BEGIN IMMEDIATE")
            for _ in range(min(group, orders - first)):
                self._place(next(self._numbers))
            self._connection.execute("COMMIT")
        return Slice(
            orders / (time.perf_counter() - began), (time.thread_time() - began_cpu) / orders
        )

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _place(self, number: int) -> None:
        execute = self._connection.execute
        buyer, seller = _name("acc", number % 31), _name("acc", 31 + number % 32)
        house, session = _name("acc", 63), _name("ses", number % ACCOUNTS)
        paid, charged = _name("txn", number * 2), _name("txn", number * 2 + 1)
        execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)",
            (_name("ord", number), buyer, f"key-{number}", seller, 400_000, "placed"),
        )
        execute(
            "INSERT INTO entries VALUES (?, ?, ?), (?, ?, ?), (?, ?, ?), (?, ?, ?)",
            (
                buyer, paid, -400_000,
                seller, paid, 400_000,
                seller, charged, -6_000,
                house, charged, 6_000,
            ),
        )  # fmt: skip
        change = "UPDATE accounts SET balance = balance + ? WHERE id = ?"
        execute(change, (-400_000, buyer))
        execute(change, (394_000, seller))
        execute(change, (6_000, house))
        [after] = execute(
            "UPDATE sessions SET next = next + 3 WHERE id = ? RETURNING next", (session,)
        ).fetchone()
        execute(
            "INSERT INTO events VALUES (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?)",
            (
                session, after - 3, "order.placed", _BODY,
                session, after - 2, "escrow.held", _BODY,
                session, after - 1, "order.started", _BODY,
            ),
        )  # fmt: skip


def _name(prefix: str, number: int) -> str:
    """Return an id as long as the market's."""
    return f"{prefix}_{number:026}"
