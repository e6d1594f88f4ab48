"""How the sellers of a run stood at its end: what they sold, what they have, who trusts them."""

from collections.abc import Mapping
from typing import Final

from scenarios.engine.facts import Facts
from scenarios.engine.form import Scenario, names_of
from scenarios.engine.result import SellerResult

_FROZEN: Final = "frozen"


def tables_of(scenario: Scenario) -> dict[str, str]:
    """Return the name of the table that each buyer and seller of a story stands in."""
    sellers = {name: part.name for part in scenario.sellers for name in names_of(part)}
    return sellers | {name: part.name for part in scenario.buyers for name in names_of(part)}


def sellers_of(facts: Facts, tables: Mapping[str, str]) -> list[SellerResult]:
    """Return a row for each seller, in the order of the story."""
    rows = []
    for agent_id, standing in facts.sellers.items():
        orders = [order for order in facts.orders if order.seller_id == agent_id]
        wallet = facts.wallets.get(agent_id)
        name = facts.names[agent_id]
        rows.append(
            SellerResult(
                name=name,
                table=tables[name],
                orders=len(orders),
                sold=sum(order.state == "settled" for order in orders),
                failed=sum(order.state == "failed" for order in orders),
                refunded=sum(order.refunded_minor > 0 for order in orders),
                captured_minor=sum(order.captured_minor for order in orders),
                wallet_minor=wallet.available_minor if wallet else 0,
                bond_minor=standing.bond_minor,
                trust=f"{standing.trust:.4f}",
                is_frozen=_FROZEN in standing.flags,
            )
        )
    return rows
