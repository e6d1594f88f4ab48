"""``market seller bond``: show, post and release what a seller has at stake."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import rich_click as click

from buyer_agents import MarketClient
from market.cli.failures import reported
from market.cli.options import client_options, minor_of, with_client
from market.cli.output import CLIENT, emit, facts, hint, say
from market.protocol.money import Money, decimal_text
from market.protocol.wire import SellerLimitsView

Move = Callable[[MarketClient, int, str], Awaitable[SellerLimitsView]]

amount_argument = click.argument("amount")
currency_option = click.option("--currency", default="XTS", show_default=True)


@click.command()
@client_options
@reported
def show(url: str, key_file: Path | None, as_json: bool) -> None:
    """Show the seller's bond, what is due, and how large an order it may get."""
    limits = with_client(url, key_file, lambda market: market.bond())
    if as_json:
        emit(limits)
        return
    _tell(limits)
    if limits.is_on_probation:
        missing = decimal_text(limits.bond_due_minor - limits.bond_minor, limits.currency)
        hint(f"market seller bond post {missing}", carry=CLIENT)


@click.command()
@amount_argument
@currency_option
@client_options
@reported
def post(amount: str, currency: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """Move AMOUNT, such as 1.20, from the wallet into the bond."""
    moved = _moved(amount, currency, url, key_file, MarketClient.post_bond)
    _report(moved, as_json, f"✓ {amount} {currency} posted")


@click.command()
@amount_argument
@currency_option
@client_options
@reported
def release(amount: str, currency: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """Move AMOUNT back into the wallet, once no order hangs on the bond any more."""
    moved = _moved(amount, currency, url, key_file, MarketClient.release_bond)
    _report(moved, as_json, f"✓ {amount} {currency} released")


def _moved(
    amount: str, currency: str, url: str, key_file: Path | None, move: Move
) -> SellerLimitsView:
    amount_minor = minor_of(amount, currency)
    return with_client(url, key_file, lambda market: move(market, amount_minor, currency))


def _report(limits: SellerLimitsView, as_json: bool, done: str) -> None:
    if as_json:
        emit(limits)
        return
    say(done)
    _tell(limits)
    hint("market wallet ledger", carry=CLIENT)


def _tell(limits: SellerLimitsView) -> None:
    cap = limits.order_cap_minor
    due = Money(limits.bond_due_minor, limits.currency)
    rows = [
        ("bond", str(Money(limits.bond_minor, limits.currency))),
        ("due", f"{due}{' (on probation)' if limits.is_on_probation else ''}"),
        ("largest order", "no cap yet" if cap is None else str(Money(cap, limits.currency))),
    ]
    if limits.frozen_since is not None:
        rows.append(("frozen since", limits.frozen_since))
    facts(rows)
