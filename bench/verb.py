"""The order verb in the writer, against its own statements in a bare loop.

The statements that ``orders.place`` issues are recorded on one copy of a database. A second copy
serves the verb through ``Store.write_once``; on a third a bare ``sqlite3`` loop executes the
recorded statements, as many in a commit. So the difference is what Python adds: units of work,
savepoints, the idempotency record, the verb itself.
"""

import asyncio
import shutil
import sqlite3
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

from bench.cast import Prepared
from bench.harness import Figure, compared
from bench.raw import GROUP, Slice
from market import identity, orders
from market.base.caller import Caller, Signed
from market.base.clock import SystemClock, milliseconds
from market.base.once import Once
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import UnitOfWork
from market.protocol.commitments import ORDER, OrderClaims
from market.protocol.ids import Ids

Statements = list[tuple[str, Any]]


class Order(NamedTuple):
    """An order as the verb takes it, its signature checked."""

    caller: Caller
    prepared: Prepared
    signed: Signed[OrderClaims]


class Recorder(sqlite3.Connection):
    """A connection that notes what is executed on it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.noted: Statements = []

    def execute(self, text: str, parameters: Any = (), /) -> sqlite3.Cursor:
        self.noted.append((text, parameters))
        return super().execute(text, parameters)

    def executemany(self, text: str, rows: Any, /) -> sqlite3.Cursor:
        every = list(rows)
        self.noted.append((text, every))
        return super().executemany(text, every)


class Verb:
    """Three copies of a market's database in which orders wait to be placed."""

    def __init__(self, home: Path, folder: Path, issuer: str, prepared: list[Prepared]) -> None:
        for name in ("recorded", "stored", "bare"):
            (folder / name).mkdir(parents=True)
            # The server has ended: the file is whole, without a log beside it.
            shutil.copy(home / "market.db", folder / name)
            shutil.copy(home / "market.key", folder / name)
        self._settings = Settings(home=folder / "stored", issuer=issuer, log_level="error")
        self._store = Store.open(self._settings)
        self._writer = next(
            thread for thread in threading.enumerate() if thread.name == "market-writer"
        )
        self._recorder = _connect(folder / "recorded", Recorder)
        self._bare = _connect(folder / "bare", sqlite3.Connection)
        self._ids = Ids(milliseconds, Random(1))
        self._waiting = [self._opened(each) for each in prepared]
        self._place = 0
        self.stored: list[Slice] = []
        self.bare: list[Slice] = []
        self.groups: list[float] = []

    async def run_slice(self, number: int) -> None:
        """Place the next orders, by the verb and by the bare loop."""
        batch = self._waiting[self._place : self._place + number]
        self._place += number
        statements = [self._record(each) for each in batch]
        commits = self._store.commits
        self.stored.append(await self._through_store(batch))
        group = number / (self._store.commits - commits)
        self.groups.append(group)
        self.bare.append(self._replay(statements, round(group)))

    def figures(self, plain: Sequence[Slice]) -> list[Figure]:
        """Return what the verb costs the writer, and how fast that makes it."""
        verb_cpu = [each.cpu_seconds * 1e6 for each in self.stored]
        return [
            compared(
                "writer CPU of an order against its own statements, bare (G5)",
                verb_cpu, [each.cpu_seconds * 1e6 for each in self.bare],
                unit="µs", accept=2.0, great=1.5, more=False,
            ),
            compared(
                "writer CPU of an order against the plain transaction R",
                verb_cpu, [each.cpu_seconds * 1e6 for each in plain], unit="µs", more=False,
            ),
            compared(
                "orders through the writer against their own statements, bare",
                [each.per_second for each in self.stored],
                [each.per_second for each in self.bare], unit="orders/s",
            ),
            Figure(
                name="orders in a commit of the writer",
                value=statistics.median(self.groups), unit="orders",
            ),
        ]  # fmt: skip

    def close(self) -> None:
        """Close the three databases."""
        self._store.close()
        self._recorder.close()
        self._bare.close()

    def _opened(self, prepared: Prepared) -> Order:
        caller = self._store.read_now(
            identity.caller_of, agent_id=prepared.buyer.id, scopes=identity.SCOPES["buyer"]
        )
        signed = caller.open(
            prepared.order.commitment, typ=ORDER, claims=OrderClaims, now=self._store.clock.now()
        )
        return Order(caller, prepared, signed)

    def _record(self, order: Order) -> Statements:
        connection = self._recorder
        connection.noted = []
        uow = UnitOfWork(
            connection,
            "sqlite",
            self._settings,
            self._store.signer,
            SystemClock().now(),
            self._ids,
        )
        orders.place(uow, caller=order.caller, request=order.prepared.order, signed=order.signed)
        return connection.noted

    async def _through_store(self, batch: Sequence[Order]) -> Slice:
        clock = time.pthread_getcpuclockid(self._writer.ident or 0)
        began, began_cpu = time.perf_counter(), time.clock_gettime(clock)
        for first in range(0, len(batch), GROUP):
            await asyncio.gather(*(self._write(each) for each in batch[first : first + GROUP]))
        seconds = time.perf_counter() - began
        cpu = time.clock_gettime(clock) - began_cpu
        return Slice(len(batch) / seconds, cpu / len(batch))

    async def _write(self, order: Order) -> None:
        once = Once(order.caller.agent_id, order.prepared.key, "fingerprint")
        await self._store.write_once(
            once,
            orders.place,
            caller=order.caller,
            request=order.prepared.order,
            signed=order.signed,
        )

    def _replay(self, every: Sequence[Statements], group: int) -> Slice:
        execute, executemany = self._bare.execute, self._bare.executemany
        began, began_cpu = time.perf_counter(), time.thread_time()
        for first in range(0, len(every), group):
            execute("BEGIN IMMEDIATE")
            for statements in every[first : first + group]:
                for text, parameters in statements:
                    if type(parameters) is list:
                        executemany(text, parameters)
                    else:
                        execute(text, parameters).fetchall()
            execute("COMMIT")
        seconds = time.perf_counter() - began
        return Slice(len(every) / seconds, (time.thread_time() - began_cpu) / len(every))


Opened = TypeVar("Opened", bound=sqlite3.Connection)


def _connect(folder: Path, factory: type[Opened]) -> Opened:
    connection = sqlite3.connect(
        folder / "market.db", isolation_level=None, factory=factory, cached_statements=512
    )
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "wal_autocheckpoint = 4000",
        "recursive_triggers = ON",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection
