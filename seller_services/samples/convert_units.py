"""A sample seller: converts units and the euro's national currencies, one chunk per item.

The table beside this file says since when each rate holds and who set it. All are exact by
definition or by law. Money goes by Council Regulation (EC) No 1103/97: rates are neither rounded
nor inverted, amounts between two national currencies go through euros of three decimals, and
results are rounded to the cent (Articles 4 and 5).
"""

import csv
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from seller_services.bargaining import down_to
from seller_services.handling import Chunk, Order
from seller_services.seller import Seller

DIGITS: Final = 12
"""Significant digits of a result that has no exact decimal form of that length."""

FLOOR_PERCENT: Final = 80
"""It takes no less of its price: who names less is offered that."""

seller = Seller(Path(__file__).with_suffix(".toml"), key="convert-units.key")
come_down: Final = seller.bargain(down_to(FLOOR_PERCENT))


class Unit(NamedTuple):
    """One row of the table: ``(value + offset) * factor`` is the value in the base unit.

    For money it is the other way round: ``factor`` is what one euro is worth.
    """

    name: str
    quantity: str
    factor: Fraction
    offset: Fraction
    as_of: str
    source: str


@seller.handle
def convert(order: Order) -> Iterator[Chunk]:
    """Yield each item's result, or what is wrong with it."""
    for number, item in enumerate(order.input["items"]):
        yield Chunk({"item": number, **convert_item(item)}, units=1)


def convert_item(item: Mapping[str, str]) -> dict[str, Any]:
    """Return the result of one item with the rates it rests on, or a ``problem``."""
    table = units()
    unknown = [item[side] for side in ("from", "to") if item[side] not in table]
    if unknown:
        return {"problem": f"unknown unit: {', '.join(unknown)}"}
    source, target = table[item["from"]], table[item["to"]]
    if source.quantity != target.quantity:
        return {"problem": f"{source.quantity} is no {target.quantity}"}
    value = Fraction(item["value"])
    result = exchange(value, source, target) if source.quantity == "money" else None
    text, is_exact = (result, False) if result else shown(scale(value, source, target))
    return {
        "value": text,
        "unit": target.name,
        "exact": is_exact,
        "rates": [
            {"unit": unit.name, "as_of": unit.as_of, "source": unit.source}
            for unit in dict.fromkeys((source, target))
        ],
    }


def scale(value: Fraction, source: Unit, target: Unit) -> Fraction:
    """Convert a quantity exactly, through the base unit."""
    return (value + source.offset) * source.factor / target.factor - target.offset


def exchange(value: Fraction, source: Unit, target: Unit) -> str:
    """Convert an amount of money as the regulation wants it."""
    euros = value if source.name == "EUR" else value / source.factor
    if target.name == "EUR":
        return rounded(euros, 2)
    if source.name != "EUR":
        euros = Fraction(rounded(euros, 3))
    return rounded(euros * target.factor, 2)


def rounded(value: Fraction, decimals: int) -> str:
    """Return a number with that many decimals; a half goes up (Article 5), away from zero."""
    steps = int(abs(value) * 10**decimals + Fraction(1, 2))
    sign = -1 if value < 0 else 1
    return f"{Decimal(sign * steps).scaleb(-decimals):f}"


def shown(value: Fraction) -> tuple[str, bool]:
    """Return a number as a plain decimal, and whether that is exact."""
    context = Context(prec=DIGITS)
    decimal = context.divide(Decimal(value.numerator), Decimal(value.denominator)).normalize(
        context
    )
    return f"{decimal:f}", Fraction(decimal) == value


@cache
def units() -> dict[str, Unit]:
    """Return the table by the names of its units."""
    with Path(__file__).with_name("units.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["unit"]: Unit(
                row["unit"], row["quantity"], Fraction(row["factor"]), Fraction(row["offset"]),
                row["as_of"], row["source"],
            )
            for row in csv.DictReader(file)
        }  # fmt: skip


if __name__ == "__main__":
    seller.run()
