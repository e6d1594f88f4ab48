"""``market migrate``: a store's tables in their present form."""

from pathlib import Path

import rich_click as click

from market.base.migration import migrate as bring_up
from market.cli.failures import reported
from market.cli.local import local_settings
from market.cli.output import hint, say


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="MARKET_HOME. [default: .market]")
@click.option("--store", help="MARKET_STORE, postgresql://... [default: SQLite in the home]")
@reported
def migrate(home: Path | None, store: str | None) -> None:
    """Bring the tables of a store to their present form; a repeat changes nothing."""
    settings = local_settings(home=home, store=store)
    bring_up(settings)
    say(f"✓ {settings.store or settings.home / 'market.db'} is up to date")
    hint("market serve")
