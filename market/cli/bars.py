"""Bars: how far something is that takes long, in the last line of a terminal until it is over."""

from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn

from market.cli.output import stderr

PATIENCE_SECONDS: Final = 2.0
"""What is over by then need not show how far it is."""


class Bar:
    """A bar on stderr within the block, if that is a terminal; ``columns`` stand behind it.

    It is shown at once, or ``late``: when ``PATIENCE_SECONDS`` are over. ``fields`` are those that
    the columns name, ``console`` is where lines above it go.
    """

    def __init__(
        self,
        *columns: ProgressColumn,
        description: str = "",
        total: int | None = None,
        late: bool = False,
        **fields: Any,
    ) -> None:
        self.console = stderr()
        self._late = late
        self._began_at = monotonic()
        self._is_shown = False
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *columns,
            console=self.console,
            transient=True,
        )
        self._task = self._progress.add_task(description, total=total, **fields)

    def __enter__(self) -> Self:
        if not self._late:
            self._show()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_shown:
            self._progress.stop()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return monotonic() - self._began_at

    def move(self, completed: float, **changes: Any) -> None:
        """Tell how far it is, and what else has changed."""
        self._progress.update(self._task, completed=completed, **changes)
        if self.seconds >= PATIENCE_SECONDS:
            self._show()

    def _show(self) -> None:
        if self.console.is_terminal and not self._is_shown:
            self._is_shown = True
            self._progress.start()
