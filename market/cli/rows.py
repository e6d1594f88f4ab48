"""How far reading a store is: a bar with the rate and the time that remains."""

from time import monotonic
from typing import Final

from rich.progress import Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from market.cli.bars import Bar

_SHOWN_EVERY_SECONDS: Final = 0.2


class _Rate(TextColumn):
    """Rows in a second, over the last half minute."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")


class Rows(Bar):
    """Shows on stderr, if it is a terminal, how many rows have been read, and of how many."""

    def __init__(self, what: str) -> None:
        super().__init__(
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            _Rate(),
            TimeRemainingColumn(compact=True),
            description=what,
            total=100,
            late=True,
        )
        self._shown_at = 0.0

    def __call__(self, done: int, of: int) -> None:
        """Tell how far it is."""
        now = monotonic()
        if now - self._shown_at > _SHOWN_EVERY_SECONDS or done == of:
            self._shown_at = now
            self.move(done, total=max(done, of))
