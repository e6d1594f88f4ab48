"""``python -m tests.crash``: kill markets under load, and print what it came to.

Exit code 5: something that was promised did not hold; the lines say what.
"""

import asyncio
import math

import click

from market.app import configure_logging
from tests.crash.driver import Figures, crash, to_stderr
from tests.crash.places import sites

BROKEN = 5
STORES = {"sqlite": ["sqlite"], "postgresql": ["postgresql"], "both": ["sqlite", "postgresql"]}
ZEROES = {
    "lost": "lost",
    "doubled": "doubled",
    "gap": "gaps",
    "overdue": "holds open past their time",
    "broken": "broken rules of the audit",
}


@click.command()
@click.option("--kills", default=200, show_default=True, help="How often, in all.")
@click.option("--store", type=click.Choice(list(STORES)), default="both", show_default=True)
@click.option("--seed", default=2026, show_default=True, help="Of the first store.")
@click.option("--seconds", default=math.inf, help="Open no further store after so many.")
def main(kills: int, store: str, seed: int, seconds: float) -> None:
    """Kill a market under load, and hold what it acknowledged against what is there."""
    configure_logging("error")
    stores = STORES[store]
    total = Figures()
    for number, name in enumerate(stores):
        part = kills // len(stores) + (number < kills % len(stores))
        with sites(name) as opened:
            run = crash(opened, kills=part, seed=seed, say=to_stderr, seconds=seconds / len(stores))
            total.merge(asyncio.run(run))
    for line in table(total):
        click.echo(line)
    for refusal, number in total.refused.most_common():
        to_stderr(f"refused {number} times: {refusal}")
    for violation in total.violations:
        click.echo(f"✗ {violation.fault}: {violation.what}")
    raise SystemExit(BROKEN if total.violations else 0)


def table(figures: Figures) -> list[str]:
    """The figures of a run, one a line."""
    acknowledged = figures.acknowledged
    rows = {f"kills of {victim}": number for victim, number in sorted(figures.kills.items())}
    rows["orders acknowledged"] = acknowledged["place"]
    rows["other requests acknowledged"] = acknowledged.total() - acknowledged["place"]
    rows["requests refused"] = figures.refused.total()
    rows["in doubt"] = figures.in_doubt
    rows["in doubt, and carried out"] = figures.done_unanswered
    rows |= {name: figures.faults[fault] for fault, name in ZEROES.items()}
    width = max(map(len, rows))
    lines = [f"{name:<{width}}  {number:>7,}" for name, number in rows.items()]
    lines.append(f"{'seeds':<{width}}  {min(figures.seeds)} to {max(figures.seeds)}")
    lines.append(f"{'seconds':<{width}}  {figures.seconds:>7,.0f}")
    return lines


if __name__ == "__main__":
    main()
