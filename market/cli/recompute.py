"""``market trust recompute``: every score anew from the facts, compared with what is kept."""

from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import rich_click as click

from buyer_agents import MarketClient, every
from market import analytics
from market.cli.failures import BROKEN, Failure, reported
from market.cli.local import looking, settings_of
from market.cli.options import http_address, json_option, key_option, with_client
from market.cli.output import emit, say, table
from market.protocol.wire import TrustFactsView
from market.trust import batches
from market.trust.comparing import Effect, Gathered, counted, differing, without_anchor
from market.trust.published import gathered_of

MAX_TRIES: Final = 3
"""How often published facts are read again when a batch came between two pages."""


@click.command()
@click.option("--store", "place", help="A run's folder, a market's home, a postgresql:// address.")
@click.option("--export", "folder", type=click.Path(path_type=Path), help="A folder of `export`.")
@click.option("--url", envvar="MARKET_URL", callback=http_address, help="A market's address.")
@click.option("--without-anchor", metavar="ID", help="Show the scores without this anchor's word.")
@key_option
@json_option
@reported
def recompute(
    place: str | None,
    folder: Path | None,
    url: str | None,
    without_anchor: str | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Reckon every score anew from the facts, and compare with what the market keeps.

    The facts are those of a store (the default: that of MARKET_HOME), of an export, or of a market
    that is asked for them. An overseer's key reads them plain, and the weights are reckoned too;
    with another key they come under names, with the weights. Exit code 5: a number differs.
    """
    found = _gathered(place, folder, url, key_file)
    if without_anchor is not None:
        _show_effects(found, without_anchor, as_json)
        return
    result = counted(found)
    differences = differing(found.standings, result.standings, ["seller_id"])
    summary = {
        "facts": found.facts.height,
        "sellers": result.standings.height,
        "weights": "given" if found.buyers is not None else "recomputed",
        "differences": differences,
    }
    if as_json:
        emit(summary)
    else:
        for line in differences:
            say(f"✗ {line}")
    if differences:
        raise Failure(
            f"{len(differences)} of {result.standings.height} sellers are kept otherwise than "
            f"their facts say: {differences[0]}",
            code="trust_differs",
            title="The scores are not what the facts amount to",
            exit_code=BROKEN,
        )
    if not as_json:
        say(
            f"✓ {found.facts.height} facts give the standings of all {result.standings.height} "
            f"sellers, to the millionth; weights {summary['weights']}"
        )


def _gathered(
    place: str | None, folder: Path | None, url: str | None, key_file: Path | None
) -> Gathered:
    if folder is not None and place is not None:
        raise Failure("name a store or an export, not both", code="two_places")
    if folder is not None:
        return _exported(folder)
    if url is not None and place is None:
        return with_client(url, key_file, _published)
    with looking(settings_of(place)) as snapshot:
        return batches.gathered(snapshot)


def _exported(folder: Path) -> Gathered:
    try:
        exported = analytics.open(folder)
    except analytics.NoFacts as error:
        raise Failure(str(error), code="no_facts") from error
    facts, standings, made = (
        exported[name].collect().to_dicts()
        for name in ("trust_facts", "trust_standings", "trust_batches")
    )
    return gathered_of(facts, standings, max(made, key=itemgetter("number"), default={}))


async def _published(market: MarketClient) -> Gathered:
    for _ in range(MAX_TRIES):
        standings = [one async for one in every(lambda at: market.trust_standings(cursor=at))]
        pages = [await market.trust_facts()]
        while pages[-1].next is not None:
            pages.append(await market.trust_facts(cursor=pages[-1].next))
        again = [one async for one in every(lambda at: market.trust_standings(cursor=at))]
        if standings == again and len({page.batch.number for page in pages}) == 1:
            return _of_pages(pages, [{"seller_id": one.seller_id, **one.sums} for one in again])
    raise Failure("the market's facts kept changing while they were read", code="facts_moved")


def _of_pages(pages: list[TrustFactsView], standings: list[dict[str, Any]]) -> Gathered:
    batch = pages[0].batch
    rows = [fact for page in pages for fact in page.items]
    return gathered_of(
        [_columns(fact) for fact in rows],
        standings,
        {
            "reference_day": batch.reference_day,
            "last_fact": batch.last_fact,
            "anchors": batch.anchors,
            "typical": batch.typical,
        },
        has_weights=not pages[0].is_plain,
    )


def _columns(fact: Any) -> dict[str, Any]:
    tree = {name: getattr(fact, name) for name in fact.__struct_fields__}
    return {"subject_id": tree.pop("order"), "buyer_id": tree.pop("buyer"), **tree}


def _show_effects(found: Gathered, agent_id: str, as_json: bool) -> None:
    if found.buyers is not None:
        raise Failure(
            "published facts hide who bought: ask as an overseer, or with --store or --export",
            code="facts_veiled",
        )
    if agent_id not in found.reference.anchors:
        raise Failure(f"{agent_id} is no anchor of the current batch", code="not_an_anchor")
    effects = without_anchor(found, agent_id)
    if as_json:
        emit([{"seller_id": one.seller_id, "now": one.now, "then": one.then} for one in effects])
        return
    table(("Seller", ">Score", ">Without it", ">Change"), [_effect_row(one) for one in effects])


def _effect_row(one: Effect) -> tuple[str, str, str, str]:
    change = one.then.score - one.now.score
    return one.seller_id, f"{one.now.score:.4f}", f"{one.then.score:.4f}", f"{change:+.4f}"
