"""``market audit``: proof, from the rows alone, that a store is whole."""

import shlex

import rich_click as click

from market import audit as room
from market.audit import RULES, Finding, Summary
from market.cli.failures import broken_laws, reported
from market.cli.local import looking, settings_of
from market.cli.options import json_option
from market.cli.output import emit, hint, say
from market.protocol.money import decimal_text


@click.command()
@click.argument("place", metavar="[STORE]", required=False)
@json_option
@reported
def audit(place: str | None, as_json: bool) -> None:
    """Prove a store: every posting, every log's chain and checkpoints, every receipt, every hold.

    STORE is a run's folder, a market's home (default: that of MARKET_HOME), or a postgresql://
    address. The market may be running. Exit code 5: something is broken.
    """
    settings = settings_of(place)
    with looking(settings) as snapshot:
        findings, counted = room.audit(snapshot), room.summary(snapshot)
    if as_json:
        emit({"findings": findings, "summary": counted})
    else:
        _print(findings, counted)
    if findings:
        raise broken_laws(len(findings), f"{findings[0].where}: {findings[0].detail}")
    if not as_json:
        hint(f"market export {shlex.quote(place or str(settings.home))} FACTS")


def _print(findings: list[Finding], counted: Summary) -> None:
    broken = {finding.rule for finding in findings}
    for rule, promise in RULES.items():
        say(f"{'✗' if rule in broken else '✓'} {rule:<11} {promise}")
    for finding in findings:
        say(f"    {finding.where}: {finding.detail}")
    states = ", ".join(f"{number} {state}" for state, number in counted.orders.items())
    say()
    say(
        f"{counted.sessions} sessions with {counted.events} events, {counted.postings} postings,"
        f" {counted.receipts} receipts; orders: {states or 'none'}"
    )
    for money in counted.money:
        minted, wallets, bonds, escrows, fees = (
            decimal_text(amount, money.currency)
            for amount in (
                money.minted_minor,
                money.wallets_minor,
                money.bonds_minor,
                money.escrows_minor,
                money.fees_minor,
            )
        )
        say(
            f"{minted} {money.currency} minted = {wallets} in wallets + {bonds} in bonds"
            f" + {escrows} in escrow + {fees} fees"
        )
