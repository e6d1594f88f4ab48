"""``market dispute list|show|answer|withdraw|resolve``: disputes, for both sides and overseers."""

from pathlib import Path
from typing import get_args

import rich_click as click

from buyer_agents import MarketClient
from market.cli.failures import reported
from market.cli.options import (
    DISPUTE_ID,
    ORDER_ID,
    client_options,
    limit_option,
    minor_of,
    with_client,
)
from market.cli.output import CLIENT, emit, facts, hint, marked, say, second, table
from market.protocol.money import Money
from market.protocol.wire import DisputeState, DisputeView

dispute_argument = click.argument("dispute_id", metavar="DISPUTE", type=DISPUTE_ID)
detail_option = click.option("--detail", default="", help="Why, in your own words.")


@click.command(name="list")
@click.option("--state", type=click.Choice(list(get_args(DisputeState))), help="Only these.")
@click.option("--order", "order_id", type=ORDER_ID, help="Of one order only.")
@click.option("--cursor", help="Go on with an earlier list.")
@limit_option
@client_options
@reported
def list_disputes(
    state: str | None,
    order_id: str | None,
    cursor: str | None,
    limit: int,
    url: str,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """List disputes, newest first: one's own, or all of the market for an overseer."""
    page = with_client(
        url,
        key_file,
        lambda market: market.disputes(state=state, order_id=order_id, cursor=cursor, limit=limit),
    )
    if as_json:
        emit(page)
        return
    rows = [
        (one.id, one.state, one.reason, str(Money(one.claim_minor, one.currency)), one.order_id)
        for one in page.items
    ]
    if not rows:
        say("There is no dispute.")
    else:
        table(("Dispute", "State", "Reason", ">Claim", "Order"), rows)
    if page.next:
        hint(f"market dispute list --cursor {page.next}", carry=(*CLIENT, "--state", "--limit"))
    elif page.items:
        hint(f"market dispute show {page.items[0].id}", carry=CLIENT)


@click.command()
@dispute_argument
@client_options
@reported
def show(dispute_id: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """Show where DISPUTE stands."""
    found = with_client(url, key_file, lambda market: market.dispute(dispute_id))
    if as_json:
        emit(found)
        return
    facts(
        [
            ("dispute", found.id),
            ("order", found.order_id),
            ("opened by", "the market" if found.opened_by == "market" else "the buyer"),
            ("reason", found.reason),
            ("detail", found.detail),
            ("evidence", _places(found)),
            ("claim", str(Money(found.claim_minor, found.currency))),
            ("state", found.state),
            ("answer", found.answer or ""),
            ("said", found.answer_detail),
            ("conceded", _money(found.conceded_minor, found)),
            ("until", second(found.due_at)),
            ("decided by", found.decided_by or ""),
            ("decision", found.decision),
            ("refunded", _money(found.refunded_minor, found)),
            ("owed", _money(found.owed_minor, found)),
        ]
    )
    hint(f"market order explain {found.order_id}", carry=CLIENT)


@click.command()
@dispute_argument
@click.option("--concede", is_flag=True, help="Give back what is claimed, or --amount of it.")
@click.option("--contest", is_flag=True, help="Give nothing back; an overseer decides.")
@click.option("--amount", help="A part to concede, such as 0.10.")
@click.option("--evidence", multiple=True, type=int, help="An offset in the log; may be repeated.")
@detail_option
@client_options
@reported
def answer(
    dispute_id: str,
    concede: bool,
    contest: bool,
    amount: str | None,
    evidence: tuple[int, ...],
    detail: str,
    url: str,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Answer DISPUTE as the order's seller."""
    if concede == contest:
        raise click.UsageError("say either --concede or --contest")
    if contest and amount is not None:
        raise click.UsageError("say --concede with an --amount")

    async def act(market: MarketClient) -> DisputeView:
        found = await market.dispute(dispute_id)
        return await market.answer_dispute(
            dispute_id,
            "concede" if concede else "contest",
            detail,
            concede_minor=minor_of(amount, found.currency, named="--amount") if amount else None,
            evidence=evidence,
        )

    tell(with_client(url, key_file, act), as_json=as_json)


@click.command()
@dispute_argument
@client_options
@reported
def withdraw(dispute_id: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """Take DISPUTE back as its buyer: nothing goes back."""
    tell(
        with_client(url, key_file, lambda market: market.withdraw_dispute(dispute_id)),
        as_json=as_json,
    )


@click.command()
@dispute_argument
@click.argument("amount")
@click.option("--reason", required=True, help="Why; both sides read it.")
@client_options
@reported
def resolve(
    dispute_id: str, amount: str, reason: str, url: str, key_file: Path | None, as_json: bool
) -> None:
    """Decide DISPUTE as an overseer: AMOUNT, such as 0.10 or 0, goes back to the buyer."""

    async def act(market: MarketClient) -> DisputeView:
        found = await market.dispute(dispute_id)
        refund_minor = minor_of(amount, found.currency, may_be_zero=True)
        return await market.resolve_dispute(dispute_id, refund_minor, reason)

    tell(with_client(url, key_file, act), as_json=as_json)


def tell(found: DisputeView, *, as_json: bool) -> None:
    """Print where a dispute stands, in a line."""
    if as_json:
        emit(found)
        return
    if found.state == "resolved":
        back = Money(found.refunded_minor, found.currency)
        owed = f", {_money(found.owed_minor, found)} is owed" if found.owed_minor else ""
        said = f"{found.decision}; {back} went back{owed}"
        marked("✓", f"{found.id} is resolved by {found.decided_by}: {said}")
    else:
        until = second(found.due_at)
        marked("●", f"{found.id} is {found.state} until {until} UTC")


def _places(found: DisputeView) -> str:
    return ", ".join(f"#{one.offset}" for one in found.evidence)


def _money(amount_minor: int, found: DisputeView) -> str:
    return str(Money(amount_minor, found.currency)) if amount_minor else ""
