"""Jobs: a unit of work on its way through the writer, and the caller who waits for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from typing import Any

from market.base.database import STATEMENT_SECONDS, StoreFull
from market.base.errors import Overloaded, QueryTimedOut, StorageFull
from market.base.once import Once
from market.base.work import UnitOfWork


class Job:
    """What to run, for whom, and how it went."""

    __slots__ = ("answer", "failure", "future", "once", "tries", "verb", "verb_of")

    def __init__(
        self,
        verb: Callable[[UnitOfWork], Any],
        verb_of: Callable[..., Any],
        once: Once | None,
        future: "asyncio.Future[Any] | ThreadFuture[Any]",
    ) -> None:
        self.verb = verb
        self.verb_of = verb_of
        self.once = once
        self.future = future
        self.answer: Any = None
        self.failure: Exception | None = None
        self.tries = 0

    def settle(self) -> None:
        """Give the caller its result; a caller that has gone away misses nothing."""
        if self.future.done():
            return
        if self.failure is None:
            self.future.set_result(self.answer)
        else:
            self.future.set_exception(self.failure)


def as_failure(error: BaseException) -> Exception:
    """Return a verb's mistake in a form that ends no loop and that every future takes.

    A library's panic is no ``Exception``, and asyncio takes no ``StopIteration``.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"the verb raised {error!r}")
    wrapped.__cause__ = error
    return wrapped


def unavailable(failure: BaseException | None = None) -> Overloaded:
    """Return what callers are told when the database, or the store itself, has failed."""
    if isinstance(failure, StoreFull):
        return StorageFull("Nothing was written; reading goes on.", retry_after_seconds=10)
    return Overloaded(
        "The database failed. Repeat the request, with the same key if it has one.",
        retry_after_seconds=1,
    )


def too_slow() -> QueryTimedOut:
    """Return what callers are told when a statement that only reads took too long."""
    return QueryTimedOut(
        f"It was looked for {STATEMENT_SECONDS:g} s: ask for less.", retry_after_seconds=10
    )
