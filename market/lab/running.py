"""Many cells on several processors, with word of how far they are."""

import gc
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, Final

import structlog

from market.lab.attacks import ATTACKS, ORDERS_A_DAY
from market.lab.plan import Plan
from market.lab.play import Cell, Played, play

TELL_SECONDS: Final = 0.5


class Stopped(Exception):
    """The play was ended from outside."""


class _Line:
    """What the processes share: a count of orders, and the word to stop."""

    def __init__(self, orders: Any, stop: Any) -> None:
        self._orders = orders
        self._stop = stop

    def tell(self, orders: int) -> None:
        """Count orders; end the play if that is wanted."""
        with self._orders.get_lock():
            self._orders.value += orders
        if self._stop.is_set():
            raise Stopped


_line: list[_Line] = []


def cells_of(
    plan: Plan, *, attacks: Sequence[str], algorithms: Sequence[str], seeds: Sequence[int]
) -> list[Cell]:
    """Return every cell of a table, seed by seed: stopped early, whole tables of fewer seeds stay.

    The order of the rest is that of the table.
    """
    return [
        Cell(attack=attack, algorithm=algorithm, seed=seed, plan=plan)
        for seed in seeds
        for attack in attacks
        for algorithm in algorithms
    ]


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def expected_orders(cell: Cell) -> int:
    """Return about how many orders a cell places."""
    plan, attack = cell.plan, ATTACKS[cell.attack]
    honest = plan.days * plan.orders_a_day
    fake = (plan.days - plan.attack_day) * plan.sized(ORDERS_A_DAY) if attack.has_fakes else 0
    return honest + fake


def run(
    cells: Sequence[Cell], *, jobs: int, tell: Callable[[int], None] = lambda orders: None
) -> Generator[Played, None, None]:
    """Play all cells, ``jobs`` at a time, and give each as soon as it is over.

    ``tell`` hears now and then how many orders have been placed in all. Close the iterator, or
    interrupt it, to stop what is still playing.
    """
    if jobs == 1:
        yield from _run_here(cells, tell)
        return
    context = multiprocessing.get_context("spawn")
    orders, stop = context.Value("q", 0), context.Event()
    with ProcessPoolExecutor(jobs, context, _set_up, (orders, stop)) as pool:
        waiting: set[Future[Played]] = {pool.submit(_play, cell) for cell in cells}
        try:
            while waiting:
                done, waiting = wait(waiting, TELL_SECONDS, FIRST_COMPLETED)
                tell(orders.value)
                for future in done:
                    yield future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _run_here(cells: Sequence[Cell], tell: Callable[[int], None]) -> Generator[Played, None, None]:
    placed = 0

    def count(orders: int) -> None:
        nonlocal placed
        placed += orders
        tell(placed)

    for cell in cells:
        yield play(cell, count)


def _set_up(orders: Any, stop: Any) -> None:
    """Prepare a process of the pool: interrupts and the log are for the one that runs it.

    The millions of small objects of a play are in no cycles: the collector need not look so often.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    gc.set_threshold(100_000, 50, 100)
    _line.append(_Line(orders, stop))


def _play(cell: Cell) -> Played:
    return play(cell, _line[0].tell)
