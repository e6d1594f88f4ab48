"""A store as large as asked for: one played scenario, copied over and over under other ids.

Every copy is later than the one before, in its ids as in its moments, and the journeys of 64 copies
are woven into one another, as those of a busy market are. Agents and services stay the few that
they were. Nothing checks the chain of the copies: their hashes are as random as real ones, and
only that.
"""

import base64
import hashlib
import itertools
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.harness import ROOT
from market.base.streams import entries, streams
from market.base.tables import UtcDateTime
from market.ledger.tables import accounts, postings, transactions
from market.orders.tables import chunks, orders
from market.protocol.ids import ALPHABET
from market.reviews.tables import reviews
from market.sessions.tables import sessions
from market.trust.tables import facts

SCENARIO: Final = ROOT / "scenarios" / "first_purchase.toml"
WOVEN: Final = 64
"""Copies whose events alternate."""

_KINDS: Final = ("ses", "ord", "txn", "qte", "rcp", "rev")
_LATE: Final = 7
"""Characters of an id that all ids of a short run share: the rest tells half a minute apart."""

_LONGEST: Final = 4
"""Half minutes that the scenario takes at most."""

_STEP_MICROS: Final = (1 << 15) * 1_000
"""What one more in those characters is worth."""

_MARKET: Final = "import sys; from market.cli import main; sys.exit(main())"
_HASH: Final = slice(-45, -2)
_COPIED: Final = {
    sessions: "id LIKE 'ses_%'",
    streams: "id LIKE 'ses_%'",
    entries: "stream_id LIKE 'ses_%'",
    orders: "id LIKE 'ord_%'",
    chunks: "order_id LIKE 'ord_%'",
    accounts: "owner_id LIKE 'ord_%'",
    transactions: "order_id LIKE 'ord_%'",
    postings: "transaction_id IN (SELECT id FROM transactions WHERE order_id LIKE 'ord_%')",
    reviews: "id LIKE 'rev_%'",
    facts: "subject_id LIKE 'ord_%'",
}
_COUNTED: Final = {entries.c.position, facts.c.number}
"""Columns that the database fills in."""


class Multiplier(NamedTuple):
    """The rows of one played scenario, taken apart where their ids tell the time."""

    file: Path
    first: int
    events: int
    rows: dict[Any, list[list[Callable[[str, int], Any]]]]

    def grow(self, events: int, *, after: int = 0) -> int:
        """Write copies until there are so many events more; return how many copies there are.

        ``after`` is what the call before returned.
        """
        copies = range(after + 1, after + 1 + events // self.events)
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("BEGIN")
            for woven in _blocks(copies):
                for table, rows in self.rows.items():
                    names = [f'"{one.name}"' for one in table.c if one not in _COUNTED]
                    marks = ", ".join("?" * len(names))
                    sql = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"
                    connection.executemany(sql, self._copied(rows, woven))
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return copies.stop - 1

    def _copied(
        self, rows: list[list[Callable[[str, int], Any]]], copies: Sequence[int]
    ) -> Iterator[list[Any]]:
        late = [(_base32(self.first + copy), copy) for copy in copies]
        for row in rows:
            for text, copy in late:
                yield [value(text, copy) for value in row]


def played(folder: Path) -> Multiplier:
    """Play the scenario in a folder, and return what multiplies its store."""
    command = [sys.executable, "-c", _MARKET, "run", str(SCENARIO), "--quiet", "--out", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    [file] = folder.glob("*/market.db")
    with closing(sqlite3.connect(file)) as connection:
        [first], [least] = connection.execute(
            "SELECT substr(min(id), 5, 7) FROM sessions UNION ALL SELECT substr(min(id), 5, 7)"
            " FROM services"
        )
        escrows = connection.execute("SELECT substr(id, 12) FROM accounts WHERE kind = 'escrow'")
        ids = _ids(_around(least, first), [rest for [rest] in escrows])
        rows = {
            table: [_taken_apart(table, row, ids) for row in _read(connection, table, where)]
            for table, where in _COPIED.items()
        }
    return Multiplier(file, _number(first) + _LONGEST, len(rows[entries]), rows)


def _read(connection: sqlite3.Connection, table: Any, where: str) -> Iterator[Any]:
    names = ", ".join(f'"{one.name}"' for one in table.c if one not in _COUNTED)
    return connection.execute(f"SELECT {names} FROM {table.name} WHERE {where}")


def _taken_apart(table: Any, row: Any, ids: re.Pattern[str]) -> list[Callable[[str, int], Any]]:
    columns = [one for one in table.c if one not in _COUNTED]
    return [_value(one, value, ids) for one, value in zip(columns, row, strict=True)]


def _value(column: Any, value: Any, ids: re.Pattern[str]) -> Callable[[str, int], Any]:
    """Return what makes the value of a copy, of the characters of its ids and its number."""
    if isinstance(column.type, UtcDateTime) and value is not None:
        return lambda _, copy: value + copy * _STEP_MICROS
    if column is entries.c.data:
        pieces = [piece.encode() for piece in ids.split(value.decode())]
        return lambda late, _: _hashed(late.encode().join(pieces))
    if isinstance(value, str) and ids.search(value):
        texts = ids.split(value)
        return lambda late, _: late.join(texts)
    return lambda _, __: value


def _hashed(event: bytes) -> bytes:
    digest = base64.urlsafe_b64encode(hashlib.sha256(event).digest())
    return event[: _HASH.start] + digest[:-1] + event[_HASH.stop :]


def _ids(begin: str, escrows: list[str]) -> re.Pattern[str]:
    """Return what finds the beginnings of the ids that a copy has of its own."""
    own = f"(?<=(?:{'|'.join(_KINDS)})_)(?:{begin})"
    return re.compile(f"{own}|(?<=acc_)(?:{begin})(?={'|'.join(escrows)})")


def _around(least: str, first: str) -> str:
    """Return the beginnings that ids of the run may have."""
    return "|".join(_base32(one) for one in range(_number(least), _number(first) + _LONGEST))


def _blocks(copies: range) -> Iterator[Sequence[int]]:
    it = iter(copies)
    while block := list(itertools.islice(it, WOVEN)):
        yield block


def _number(text: str) -> int:
    number = 0
    for character in text:
        number = number * 32 + ALPHABET.index(character)
    return number


def _base32(number: int) -> str:
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LATE)))
