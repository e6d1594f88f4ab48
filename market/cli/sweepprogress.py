"""A sweep while it is played: how many runs are over, how fast, and how long the rest takes."""

from typing import Final

from rich.text import Text

from market.cli.bars import Bar
from market.cli.output import STYLES
from scenarios.engine.outcomes import Outcome
from scenarios.engine.sweeping import Sweep

_MARKS: Final = {"done": "✓", "bad": "✗", "interrupted": "■"}
_MINUTE: Final = 60.0
_HOUR: Final = 3_600.0


class SweepProgress(Bar):
    """Says on stderr how far a sweep is: a line for each run, on a terminal with a bar below."""

    def __init__(self, sweep: Sweep, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._names = {
            one.folder: _called(cell.overrides, one.number) for cell, one in sweep.runs()
        }
        self._all = len(self._names)
        self._before = self._over = self._all - len(sweep.left())
        self._playing = 0
        super().__init__(description=f"{self._over} of {self._all} runs", total=self._all)
        self._show_runs()

    def began(self) -> None:
        """Count a run that is being played."""
        self._playing += 1
        self._show_runs()

    def ended(self, run: str, outcome: Outcome) -> None:
        """Say what a run came to."""
        passed = sum(one.status == "passed" for one in outcome.expectations)
        said = [f"{outcome.events} events in {outcome.seconds:.1f} s"]
        if outcome.expectations:
            said.append(f"{passed} of {len(outcome.expectations)} expectations met")
        if outcome.findings:
            said.append(f"{len(outcome.findings)} laws broken")
        is_bad = outcome.state == "bad" or outcome.exit_code > 0
        mark = "✗" if is_bad and outcome.state == "done" else _MARKS[outcome.state]
        self._tell(
            mark, run, outcome.detail or ", ".join(said), is_over=outcome.state != "interrupted"
        )

    def died(self, run: str, how: str) -> None:
        """Say that a run is lost."""
        self._tell("✗", run, how, is_over=False)

    def _tell(self, mark: str, run: str, text: str, *, is_over: bool) -> None:
        self._playing -= 1
        self._over += is_over
        self._show_runs()
        if not self._is_quiet:
            line = Text(mark, style=STYLES[mark])
            line.append(f" {self._names[run]}: {text}   ")
            line.append(self._where(), style="dim")
            self.console.print(line)

    def _show_runs(self) -> None:
        self.move(self._over, description=self._where())

    def _where(self) -> str:
        """Return how many runs are over, and how long the rest takes at the same rate."""
        now = f"{self._over} of {self._all} runs"
        played, seconds = self._over - self._before, self.seconds
        if not played:
            return now
        rate = played / max(seconds, 0.001)
        return f"{now}, {_rate(rate)}, {_time((self._all - self._over) / rate)} left"


def _called(overrides: dict[str, str], replica: int) -> str:
    """Return what people call a run: the values of its cell, and which replica it is."""
    values = [f"{path}={value}" for path, value in overrides.items()]
    return ", ".join([*values, f"replica {replica}"])


def _rate(a_second: float) -> str:
    if a_second >= 1:
        return f"{a_second:.1f} a second"
    return f"{a_second * _MINUTE:.1f} a minute"


def _time(seconds: float) -> str:
    if seconds >= _HOUR:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _MINUTE:.1f} min" if seconds >= _MINUTE else f"{seconds:.0f} s"
