"""``python -m bench [NAME]...``: run all benches, or those that are named."""

import sys
from collections.abc import Callable
from typing import Final

from bench import bounds, control, facts, idle, journey, live, order, streams
from bench.harness import Report, Unready
from market.app import configure_logging

BENCHES: Final[dict[str, Callable[[], Report]]] = {
    "order": order.run,
    "journey": journey.run,
    "live": live.run,
    "streams": streams.run,
    "idle": idle.run,
    "control": control.run,
    "bounds": bounds.run,
    "facts": facts.run,
}


def main() -> int:
    """Run what was asked for; 1 if a ratio is below its goal on a quiet machine, 2 for misuse."""
    names = sys.argv[1:] or list(BENCHES)
    if not set(names) <= set(BENCHES):
        sys.stderr.write(f"There are the benches {', '.join(BENCHES)}.\n")
        return 2
    configure_logging("error")
    reports = []
    for name in names:
        try:
            report = BENCHES[name]()
        except Unready as error:
            sys.stderr.write(f"{error}\n")
            return 2
        report.show()
        report.record()
        reports.append(report)
    return 0 if all(report.is_good for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
