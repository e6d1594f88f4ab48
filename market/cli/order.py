"""``market order show|explain|refund|redo|dispute``: what became of an order, and what to do."""

from pathlib import Path
from typing import get_args

import rich_click as click

from buyer_agents import MarketClient
from market.cli.dispute import tell
from market.cli.failures import WRONG_STATE, Failure, reported
from market.cli.options import (
    ORDER_ID,
    client_options,
    confirm,
    minor_of,
    reason_option,
    with_client,
    yes_option,
)
from market.cli.output import CLIENT, emit, facts, hint, marked, say, second, table
from market.protocol.money import Money
from market.protocol.wire import (
    DisputeReason,
    DisputeView,
    ExplainView,
    OrderView,
    ReceiptView,
    StepView,
    SupportView,
)

order_argument = click.argument("order_id", metavar="ORDER", type=ORDER_ID)
amount_option = click.option("--amount", help="A part, such as 0.10. [default: all that is left]")


@click.command()
@order_argument
@client_options
@reported
def show(order_id: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """Show where ORDER stands, and its receipts."""

    async def act(market: MarketClient) -> tuple[OrderView, list[ReceiptView]]:
        return await market.order(order_id), await market.receipts(order_id)

    order, receipts = with_client(url, key_file, act)
    if as_json:
        emit({"order": order, "receipts": receipts})
        return
    facts(_facts(order))
    if receipts:
        say()
        rows = [(second(one.issued_at), one.outcome, one.id) for one in receipts]
        table(("When (UTC)", "Outcome", "Receipt"), rows)
    hint(f"market order explain {order_id}", carry=CLIENT)


@click.command()
@order_argument
@client_options
@reported
def explain(order_id: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """Tell what became of ORDER and why: money, deadlines, policies, and what may be done."""
    told = with_client(url, key_file, lambda market: market.explain(order_id))
    if as_json:
        emit(told)
        return
    for sentence in (told.ordered, told.held, told.delivered, told.paid):
        say(sentence)
    _print_movements(told)
    _print_prospects(told)
    hint(f"market order show {order_id}", carry=CLIENT)


@click.command()
@order_argument
@amount_option
@reason_option
@yes_option
@client_options
@reported
def refund(
    order_id: str,
    amount: str | None,
    reason: str,
    yes: bool,
    url: str,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Give back what was paid for ORDER as its seller, or ask for it by policy as its buyer."""
    confirm(f"Really refund {order_id}?", is_sure=yes)

    async def act(market: MarketClient) -> OrderView | SupportView:
        order = await market.order(order_id)
        amount_minor = _minor(amount, order.currency)
        if order.seller_id == market.agent_id:
            return await market.refund(order_id, reason or "refunded", amount_minor=amount_minor)
        return await market.support(order_id, "refund", reason, amount_minor=amount_minor)

    done = with_client(url, key_file, act)
    if isinstance(done, SupportView):
        _report(done, as_json=as_json)
    elif as_json:
        emit(done)
    else:
        say(f"✓ {Money(done.refunded_minor, done.currency)} of {order_id} went back in all")
    if not as_json:
        hint(f"market order show {order_id}", carry=CLIENT)


@click.command()
@order_argument
@client_options
@reported
def redo(order_id: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """Have ORDER delivered again at no price, by the service's policy."""
    done = with_client(url, key_file, lambda market: market.support(order_id, "redo"))
    _report(done, as_json=as_json)
    if not as_json:
        hint(f"market order show {done.redo_order_id}", carry=CLIENT)


@click.command()
@order_argument
@click.option(
    "--because",
    type=click.Choice(list(get_args(DisputeReason))),
    default="other",
    show_default=True,
    help="What is wrong.",
)
@click.option("--detail", default="", help="The same in your own words.")
@click.option("--evidence", multiple=True, type=int, help="An offset in the log; may be repeated.")
@amount_option
@client_options
@reported
def dispute(
    order_id: str,
    because: str,
    detail: str,
    evidence: tuple[int, ...],
    amount: str | None,
    url: str,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Dispute the delivery of ORDER as its buyer, with evidence from the session's log."""

    async def act(market: MarketClient) -> DisputeView:
        order = await market.order(order_id)
        return await market.open_dispute(
            order_id,
            because,
            detail,
            claim_minor=_minor(amount, order.currency),
            evidence=evidence,
        )

    opened = with_client(url, key_file, act)
    tell(opened, as_json=as_json)
    if not as_json:
        hint(f"market dispute show {opened.id}", carry=CLIENT)


def _facts(order: OrderView) -> list[tuple[str, str]]:
    def money(amount_minor: int) -> str:
        return str(Money(amount_minor, order.currency)) if amount_minor else ""

    return [
        ("order", order.id),
        ("session", order.session_id),
        ("service", order.slug),
        ("state", order.state + (", paused" if order.is_paused else "")),
        ("price", str(Money(order.amount_minor, order.currency))),
        ("delivered", f"{order.units_delivered} of {order.units} units"),
        ("paid", money(order.captured_minor)),
        ("returned", money(order.returned_minor)),
        ("refunded", money(order.refunded_minor)),
        ("owed", money(order.owed_minor)),
        ("redoes", order.redo_of or ""),
        ("redo", order.redo_id or ""),
        ("dispute", order.dispute_id or ""),
    ]


def _print_movements(told: ExplainView) -> None:
    if told.movements:
        say()
        rows = [
            (
                second(one.recorded_at),
                "" if one.offset is None else f"#{one.offset}",
                one.transaction_id,
                one.sentence,
            )
            for one in told.movements
        ]
        table(("When (UTC)", ">Event", "Transaction", "What moved"), rows)


def _print_prospects(told: ExplainView) -> None:
    for heading, terms in (("Deadlines", told.deadlines), ("Policies", told.policies)):
        if terms:
            say()
            say(f"{heading}:")
        for term in terms:
            say(f"  {term.name}: {term.sentence}")
    if told.may_do:
        say()
        table(
            ("Who", "May", "Until (UTC)", "How", "What it means"),
            [
                (
                    one.who,
                    one.action,
                    second(one.until),
                    command_for(one, told.order_id),
                    one.sentence,
                )
                for one in told.may_do
            ],
        )


def command_for(step: StepView, order_id: str) -> str:
    """Return the command for what may be done with an order; --json has the request behind it."""
    of = step.request.split("/")[3]  # a session, an order or a dispute
    match step.action:
        case "approve" | "cancel":
            return f"market session {step.action} {of} --order {order_id}"
        case "refund" | "redo" | "dispute":
            return f"market order {step.action} {of}"
        case "answer":
            return f"market dispute answer {of} (--concede or --contest)"
        case "resolve":
            return f"market dispute resolve {of} AMOUNT --reason WHY"
        case "withdraw":
            return f"market dispute withdraw {of}"
    # Buyers accept, and sellers deliver and give up, by what they run.
    return "in its program"


def _report(done: SupportView, *, as_json: bool) -> None:
    """Print what support did; exit with "not allowed in this state" if its policy refuses."""
    if as_json:
        emit(done)
    if done.answer == "refused":
        raise Failure(
            done.detail,
            code="refused_by_policy",
            title="The service's policy does not allow it",
            exit_code=WRONG_STATE,
        )
    if not as_json:
        marked("✓" if done.answer == "done" else "●", done.detail)


def _minor(amount: str | None, currency: str) -> int | None:
    return None if amount is None else minor_of(amount, currency, named="--amount")
