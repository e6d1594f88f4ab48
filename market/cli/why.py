"""``market why``: to whom and why a seller's sales were lost."""

import shlex

import rich_click as click

from market import analytics
from market.cli.facts import run_at
from market.cli.failures import reported
from market.cli.options import json_option
from market.cli.output import emit, hint, say


@click.command()
@click.option("--seller", required=True, help="A seller's name, or a service's.")
@click.option(
    "--run", "run", help="A run's folder, a store or an export. [default: the run played last]"
)
@json_option
@reported
def why(seller: str, run: str | None, as_json: bool) -> None:
    """Tell at which stage a seller's sales were lost, to whom, and what would have changed it."""
    place = run_at(run)
    answer = analytics.why(analytics.open(place), seller)
    if as_json:
        emit(answer)
        return
    say(str(answer))
    hint(f"market export {shlex.quote(place)} FACTS")
