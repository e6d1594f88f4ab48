"""How far reading a store is: a bar with the rate and the time that remains."""

from time import monotonic
from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from market.cli.output import stderr

PATIENCE_SECONDS: Final = 2.0
"""What is over by then shows no bar."""

_SHOWN_EVERY_SECONDS: Final = 0.2


class _Rate(TextColumn):
    """Rows in a second, over the last half minute."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")


class Rows:
    """Shows on stderr, if it is a terminal, how many rows have been read, and of how many."""

    def __init__(self, what: str) -> None:
        self._bar = Progress(
            TextColumn(what),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            _Rate(),
            TimeRemainingColumn(compact=True),
            console=stderr(),
            transient=True,
        )
        self._began_at = monotonic()
        self._shown_at = 0.0
        self._is_shown = False
        self._task = self._bar.add_task("")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_shown:
            self._bar.stop()

    def __call__(self, done: int, of: int) -> None:
        """Tell how far it is."""
        now = monotonic()
        if now - self._began_at < PATIENCE_SECONDS or not self._bar.console.is_terminal:
            return
        if not self._is_shown:
            self._is_shown = True
            self._bar.start()
        if now - self._shown_at > _SHOWN_EVERY_SECONDS or done == of:
            self._shown_at = now
            self._bar.update(self._task, completed=done, total=max(done, of))
