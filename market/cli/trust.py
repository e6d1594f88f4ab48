"""``market trust show``, ``rings``, ``batch``, and the four about anchors."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import rich_click as click

from buyer_agents import MarketClient, every
from market.cli.failures import Failure, reported
from market.cli.options import agent_called, client_options, is_handle, with_client
from market.cli.output import CLIENT, emit, facts, hint, marked, say, second, table
from market.protocol.money import Money
from market.protocol.wire import AnchorView, TrustView, VoicesView

FLAGS: Final = {
    "new": "it has settled fewer than three orders",
    "low_score": "there is more against it than for it",
    "price_rising": "more than half of its price changes were raises",
    "closed_ring": "its praise comes from buyers who buy nowhere else",
    "frozen": "its last orders went badly: until some small ones end well it takes no others",
}
"""What each flag of a trust report means."""

_Act = Callable[[MarketClient, str, str], Awaitable[AnchorView]]
_NOBODY = "nobody has said anything that counts"


@click.command()
@click.argument("seller")
@client_options
@reported
def show(seller: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """Explain why SELLER (its name, or that of a service) has the score that it has."""
    report = with_client(url, key_file, lambda market: _report(market, seller))
    if as_json:
        emit(report)
        return
    _explain(report)
    hint("market trust anchors", carry=CLIENT)


@click.command()
@client_options
@reported
def anchors(url: str, key_file: Path | None, as_json: bool) -> None:
    """List the buyers whose word is taken, by whom they were named, and why."""

    async def act(market: MarketClient) -> list[AnchorView]:
        return [one async for one in every(lambda cursor: market.anchors(cursor=cursor))]

    known = with_client(url, key_file, act)
    if as_json:
        emit(known)
        return
    rows = [
        (anchor.agent_id, act.act, act.overseer_id, second(act.at), act.reason)
        for anchor in known
        for act in anchor.acts
    ]
    if not rows:
        say("There are no anchors: every buyer is one of the crowd.")
    else:
        table(("Agent", "Act", "Overseer", "When (UTC)", "Why"), rows)
    hint("market trust propose BUYER --reason WHY", carry=CLIENT)


def _anchoring(
    name: str, act: _Act, summary: str, why: str = "Why. It is public."
) -> click.Command:
    """Make the command for an act about an anchor; it tells one that changed nothing apart."""

    def run(agent: str, reason: str, url: str, key_file: Path | None, as_json: bool) -> None:
        async def decide(market: MarketClient) -> tuple[int, AnchorView]:
            agent_id = await _agent_id(market, agent)
            before = await _acts_about(market, agent_id)
            return before, await act(market, agent_id, reason)

        before, anchor = with_client(url, key_file, decide)
        _tell(anchor, as_json, is_repeat=len(anchor.acts) == before)

    run.__doc__ = summary
    command: Any = client_options(reported(run))
    command = click.option("--reason", required=True, help=why)(command)
    made: click.Command = click.command(name=name)(click.argument("agent")(command))
    return made


propose: Final = _anchoring(
    "propose",
    MarketClient.propose_anchor,
    "Propose the buyer AGENT (a name or an id) as an anchor. Another overseer confirms.",
    "Why its word is to be taken. It is public.",
)
confirm: Final = _anchoring(
    "confirm",
    MarketClient.confirm_anchor,
    "Make an anchor of AGENT, which another overseer proposed.",
)
revoke: Final = _anchoring(
    "revoke",
    MarketClient.revoke_anchor,
    "Take the anchor AGENT away, at once. One overseer is enough.",
)


@click.command()
@client_options
@reported
def rings(url: str, key_file: Path | None, as_json: bool) -> None:
    """List groups of sellers whose praise comes from buyers who buy nowhere else. Overseers."""
    page = with_client(url, key_file, lambda market: market.rings())
    if as_json:
        emit(page)
        return
    if not page.items:
        say("No group of sellers looks closed.")
        return
    for ring in page.items:
        say(f"{len(ring.sellers)} sellers, {len(ring.buyers)} buyers, {ring.reviews} reviews:")
        facts(
            [
                ("  sellers", ", ".join(ring.sellers)),
                ("  buyers", ", ".join(ring.buyers)),
                ("  of the praise", f"{ring.inside:.0%} comes from these buyers"),
                ("  of the money", f"{ring.money:.0%} comes from these buyers"),
                *[
                    ("  shared buyers", f"{tie.shared}, where chance would have {tie.chance:.1f}")
                    for tie in ring.ties
                ],
            ]
        )
        say()


@click.command()
@client_options
@reported
def batch(url: str, key_file: Path | None, as_json: bool) -> None:
    """Have all facts weighed anew now. Overseers only; it happens every five minutes anyway."""
    made = with_client(url, key_file, lambda market: market.make_trust_batch())
    if as_json:
        emit(made)
        return
    say(f"✓ batch {made.number}, of {made.last_fact} facts, with {len(made.anchors)} anchors")
    hint("market trust rings", carry=CLIENT)


async def _report(market: MarketClient, seller: str) -> TrustView:
    found = await market.services(q=seller, limit=100)
    for one in found.items:
        if seller in (one.slug, one.seller_handle, one.seller_id, one.service_id):
            return await market.trust(one.service_id)
    if seller.startswith("svc_"):
        return await market.trust(seller)
    raise Failure(f"no seller and no service is called {seller!r}", code="seller_not_found")


async def _agent_id(market: MarketClient, agent: str) -> str:
    return (await agent_called(market, agent)).id if is_handle(agent) else agent


async def _acts_about(market: MarketClient, agent_id: str) -> int:
    """Return how many acts about an agent there are in the public list."""
    async for anchor in every(lambda cursor: market.anchors(cursor=cursor)):
        if anchor.agent_id == agent_id:
            return len(anchor.acts)
    return 0


def _tell(anchor: AnchorView, as_json: bool, *, is_repeat: bool) -> None:
    if as_json:
        emit(anchor)
        return
    last = anchor.acts[-1]
    if is_repeat:
        when = second(last.at)
        marked("●", f"{anchor.agent_id} was {anchor.state} already, at {when} UTC: {last.reason}")
    else:
        marked("✓", f"{anchor.agent_id} is {anchor.state}: {last.reason}")
    if anchor.state == "proposed":
        say("  Another overseer has to confirm it.")
    hint("market trust anchors", carry=CLIENT)


def _explain(report: TrustView) -> None:
    which = "last orders" if report.short < report.long else "whole record"
    say(f"{report.slug}: score {report.score:.2f}, which its {which} decides.")
    say()
    say("What happened")
    facts(
        [
            ("  settled", f"{report.orders_settled}, of them {report.on_time} on time"),
            ("  failed", str(report.orders_failed)),
            ("  cancelled", str(report.orders_cancelled)),
            ("  refunded", str(report.orders_refunded)),
            ("  disputed", str(report.orders_disputed)),
            ("  buyers", f"{report.distinct_buyers} different ones"),
            ("  prices", f"changed {report.price_changes} times, {report.price_raises} of them up"),
            ("  reviews", f"{report.reviews_good} good, {report.reviews_bad} bad"),
        ]
    )
    say("What it amounts to")
    facts(
        [
            ("  long memory", f"{report.long:.2f}: {_weighed(report)}"),
            ("  short memory", f"{report.short:.2f}: the last orders, whenever they were"),
            ("  confidence", f"{report.confidence:.2f}"),
            ("  anchors", _voices(report.anchors)),
            ("  with money", _voices(report.vouched_buyers)),
            ("  the crowd", f"{_voices(report.crowd)}, cut to one voice"),
            ("  vouched", f"{report.vouched:.0%}, by anchors who bought there"),
            ("  its buyers", f"judge as others do to {report.calibration:.0%}"),
        ]
    )
    for flag in report.flags:
        say(f"! {flag}: {FLAGS.get(flag, flag)}")
    say(_basis(report))


def _weighed(report: TrustView) -> str:
    if not report.good and not report.bad:
        return _NOBODY
    return f"{report.good:.2f} voices for it, {report.bad:.2f} against"


def _voices(voices: VoicesView) -> str:
    count = voices.voices
    said = "voice that weighs" if count == 1 else "voices that weigh"
    return f"{count} {said} {voices.weight:.2f}"


def _basis(report: TrustView) -> str:
    """Name what the score was weighed under."""
    if report.weighed_at is None:
        return f"By the rule {report.rule}; no batch has weighed the buyers yet."
    typical = report.typical_minor
    currency = next((event.currency for event in report.events if event.currency), None)
    price = f", a typical order costing {Money(typical, currency)}" if typical and currency else ""
    return (
        f"By the rule {report.rule}, batch {report.batch} of {report.weighed_at[:19]}Z"
        f" (parameters {report.parameters}{price})."
    )
