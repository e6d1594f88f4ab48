"""``market mandate give|list|show|revoke``: a principal's authority to spend, from its own hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import rich_click as click

from buyer_agents import MarketClient
from market.cli.failures import Failure, reported
from market.cli.options import (
    MANDATE_ID,
    agent_known_as,
    client_options,
    limit_option,
    minor_of,
    reason_option,
    with_client,
    yes_option,
)
from market.cli.options import confirm as ask
from market.cli.output import CLIENT, emit, facts, hint, say, second, table
from market.protocol.ap2_constraints import Frequency
from market.protocol.commitments import Limits
from market.protocol.money import EXPONENTS, Money, decimal_text
from market.protocol.signing import VerifyingKey
from market.protocol.wire import AgentView, MandateView

DAY: Final = 86_400
_OPTIONS: Final[list[Callable[[Any], Any]]] = [
    click.argument("buyer"),
    click.option("--max-price", metavar="AMOUNT", help="The most that one order may cost."),
    click.option("--min-price", metavar="AMOUNT", help="The least that one order may cost."),
    click.option("--budget", metavar="AMOUNT", help="The most that all orders may cost."),
    click.option("--orders", type=click.IntRange(1, 1_000_000), help="How many orders at most."),
    click.option("--approve-over", metavar="AMOUNT", help="Above this a human must approve."),
    click.option("--period", type=click.FloatRange(0.001, 365), help="A period, in days."),
    click.option("--period-budget", metavar="AMOUNT", help="The most in each period."),
    click.option("--period-orders", type=click.IntRange(1), help="How many orders in each."),
    click.option("--seller", "sellers", multiple=True, help="Allow this seller alone; repeatable."),
    click.option("--deny-seller", "denied", multiple=True, help="Never this one; repeatable."),
    click.option("--tag", "tags", multiple=True, help="Allow services with this tag alone."),
    click.option("--deny-tag", "denied_tags", multiple=True, help="Never with this one."),
    click.option("--currency", default="XTS", show_default=True, type=click.Choice([*EXPONENTS])),
    click.option("--days", type=click.FloatRange(0.001, 366), default=30, show_default=True),
    click.option("--ap2", is_flag=True, help="Sign it in the wire form of AP2 0.2."),
    click.option(
        "--every",
        type=click.Choice(get_args(Frequency)),
        help="AP2: good for more than one order, one in each such period.",
    ),
    client_options,
]
_NOT_IN_AP2: Final = {
    "approve_over": "--approve-over",
    "period": "--period",
    "period_budget": "--period-budget",
    "period_orders": "--period-orders",
    "denied": "--deny-seller",
    "tags": "--tag",
    "denied_tags": "--deny-tag",
}


def _give(
    buyer: str, url: str, key_file: Path | None, as_json: bool, ap2: bool, **terms: Any
) -> None:
    """Let BUYER (a name or an id) spend for you, within these limits."""

    async def act(market: MarketClient) -> MandateView:
        agent = await agent_known_as(market, buyer)
        sellers = [(await agent_known_as(market, name)).id for name in terms["sellers"]]
        if ap2:
            return await _give_ap2(market, agent, sellers, terms)
        denied = [(await agent_known_as(market, name)).id for name in terms["denied"]]
        if terms["every"]:
            raise Failure("--every is AP2's; say --period and --period-orders", code="not_in_ap2")
        limits = _limits(terms, sellers, denied)
        seconds = round(terms["days"] * DAY)
        currency = terms["currency"]
        return await market.give_mandate(agent.id, limits, currency=currency, seconds=seconds)

    given = with_client(url, key_file, act)
    if as_json:
        emit(given)
        return
    _print(given)
    hint(f"market mandate show {given.id}", carry=CLIENT)


def _command() -> click.Command:
    command: Any = reported(_give)
    for decorate in reversed(_OPTIONS):
        command = decorate(command)
    made: click.Command = click.command(name="give")(command)
    return made


give: Final = _command()


@click.command(name="list")
@click.option("--cursor", help="Go on with an earlier list.")
@limit_option
@client_options
@reported
def list_mandates(
    cursor: str | None, limit: int, url: str, key_file: Path | None, as_json: bool
) -> None:
    """List the mandates that the agent gave or got, newest first; overseers see all."""
    page = with_client(url, key_file, lambda market: market.mandates(cursor=cursor, limit=limit))
    if as_json:
        emit(page)
        return
    rows = [
        (
            one.id,
            one.form,
            decimal_text(one.spent_minor, one.currency),
            _budget(one),
            one.currency,
            str(one.orders),
            "revoked" if one.revoked_at else f"until {one.expires_at[:10]}",
        )
        for one in page.items
    ]
    if rows:
        table(("Mandate", "Form", ">Spent", ">Of", "", ">Orders", "State"), rows)
        hint(f"market mandate show {page.items[0].id}", carry=CLIENT)
    else:
        say("There are no mandates.")
    if page.next:
        hint(f"market mandate list --cursor {page.next}", carry=(*CLIENT, "--limit"))


@click.command()
@click.argument("mandate_id", metavar="MANDATE", type=MANDATE_ID)
@client_options
@reported
def show(mandate_id: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """Show what MANDATE allows, and what was spent under it."""
    found = with_client(url, key_file, lambda market: market.mandate(mandate_id))
    if as_json:
        emit(found)
        return
    _print(found)
    if found.revoked_at is None:
        hint(f"market mandate revoke {found.id}", carry=CLIENT)


@click.command()
@click.argument("mandate_id", metavar="MANDATE", type=MANDATE_ID)
@reason_option
@yes_option
@client_options
@reported
def revoke(
    mandate_id: str, reason: str, yes: bool, url: str, key_file: Path | None, as_json: bool
) -> None:
    """End MANDATE: nothing more is spent under it. What runs goes on; what waits is denied."""
    ask(f"Really revoke {mandate_id}?", is_sure=yes)
    why = reason or "no longer needed"
    view = with_client(url, key_file, lambda market: market.revoke_mandate(mandate_id, why))
    if as_json:
        emit(view)
        return
    spent = Money(view.spent_minor, view.currency)
    placed = "1 order was" if view.orders == 1 else f"{view.orders} orders were"
    say(f"✓ revoked {view.id}: {spent} were spent; {placed} placed")
    hint("market mandate list", carry=CLIENT)


def _limits(terms: dict[str, Any], sellers: Sequence[str], denied: Sequence[str]) -> Limits:
    period = terms["period"]
    is_limited = terms["period_budget"] or terms["period_orders"]
    if (period is not None) != bool(is_limited):
        raise Failure(
            "--period goes together with --period-budget, --period-orders or both", code="period"
        )
    return Limits(
        min_price_minor=_minor(terms, "min_price"),
        max_price_minor=_minor(terms, "max_price"),
        budget_minor=_minor(terms, "budget"),
        max_orders=terms["orders"],
        approval_over_minor=_minor(terms, "approve_over"),
        period_seconds=None if period is None else round(period * DAY),
        period_budget_minor=_minor(terms, "period_budget"),
        period_max_orders=terms["period_orders"],
        sellers_allow=list(sellers) or None,
        sellers_deny=list(denied) or None,
        tags_allow=list(terms["tags"]) or None,
        tags_deny=list(terms["denied_tags"]) or None,
    )


async def _give_ap2(
    market: MarketClient, buyer: AgentView, sellers: Sequence[str], terms: dict[str, Any]
) -> MandateView:
    unsaid = [option for name, option in _NOT_IN_AP2.items() if terms[name]]
    if unsaid:
        raise Failure(f"AP2 has no constraint for {', '.join(unsaid)}", code="not_in_ap2")
    if terms["min_price"] is not None and terms["max_price"] is None:
        raise Failure("AP2 has no --min-price without a --max-price", code="not_in_ap2")
    if terms["every"] and terms["max_price"] is None and terms["budget"] is None:
        raise Failure("with --ap2, --every needs --max-price or --budget", code="not_in_ap2")
    if terms["orders"] is not None and not terms["every"]:
        raise Failure("with --ap2, --orders needs --every", code="not_in_ap2")
    if market.key.public.algorithm != "ES256":
        raise Failure(
            "AP2 mandates are signed with a P-256 key",
            code="wrong_curve",
            hint="market identity new FILE --curve P-256 --kind principal --handle NAME",
        )
    keys = [VerifyingKey(key.jwk) for key in buyer.keys if key.revoked_at is None]
    jwks = [key.jwk for key in keys if key.algorithm == "ES256"]
    if not jwks:
        raise Failure(f"{buyer.handle} has no P-256 key to close it with", code="wrong_curve")
    constraints = _constraints(terms, sellers)
    seconds = round(terms["days"] * DAY)
    return await market.give_ap2_mandate(buyer.id, constraints, agent_jwk=jwks[0], seconds=seconds)


def _constraints(terms: dict[str, Any], sellers: Sequence[str]) -> list[dict[str, Any]]:
    """Return AP2's constraints for the options of the command."""
    currency = terms["currency"]
    most, least, budget = (_minor(terms, name) for name in ("max_price", "min_price", "budget"))
    found: list[dict[str, Any]] = []
    if most is not None:
        found.append(
            {
                "type": "payment.amount_range",
                "currency": currency,
                "max": most,
                "min": least or 0,
            }
        )
    if budget is not None:
        found.append({"type": "payment.budget", "currency": currency, "max": budget})
    if terms["every"]:
        times = {} if terms["orders"] is None else {"max_occurrences": terms["orders"]}
        found.append({"type": "payment.agent_recurrence", "frequency": terms["every"], **times})
    if sellers:
        payees = [
            {"id": each, "name": name} for each, name in zip(sellers, terms["sellers"], strict=True)
        ]
        found.append({"type": "payment.allowed_payees", "allowed": payees})
    return found


def _minor(terms: dict[str, Any], name: str) -> int | None:
    text = terms[name]
    if text is None:
        return None
    option = f"--{name.replace('_', '-')}"
    return minor_of(text, terms["currency"], named=option, may_be_zero=name == "approve_over")


def _print(one: MandateView) -> None:
    limits = [
        (
            f"  {name.removesuffix('_minor')}",
            _shown(one, name),
        )
        for name, limit in one.limits.items()
        if limit is not None
    ]
    facts(
        [
            ("mandate", f"{one.id}   {one.form}"),
            ("principal", one.principal_id),
            ("buyer", one.buyer_id),
            ("until", second(one.expires_at) + " UTC"),
            ("revoked", second(one.revoked_at)),
            ("spent", f"{Money(one.spent_minor, one.currency)} in {one.orders} orders"),
            ("limits", "" if limits else "none"),
            *limits,
        ]
    )


def _budget(one: MandateView) -> str:
    limit = one.limits["budget_minor"]
    return "no limit" if limit is None else decimal_text(limit, one.currency)


def _shown(one: MandateView, name: str) -> str:
    limit = one.limits[name]
    if name.endswith("_minor"):
        return str(Money(limit, one.currency))
    return ", ".join(limit) if isinstance(limit, list) else str(limit)
