"""What work costs: the forms of a price, and how much of it a delivery has earned. Pure.

A manifest's price has one of four forms. ``call``: one amount for the request. ``unit``: an amount
for each unit of the measure. ``tiers``: each unit at the price of the tier that it falls in.
``flat``: one amount that covers a number of units, and an amount for each unit beyond.

A quote carries *terms*: the same in minor units, so that an order needs no manifest to be settled.
Whatever the form, everything is found by whole numbers and subtraction: what is earned never
shrinks as units are delivered, all units earn the quoted amount exactly, and the parts of what is
captured make up the whole.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from market.protocol.money import (
    MAX_MINOR,
    AmountText,
    Currency,
    Money,
    parse_amount,
    pro_rata,
    share,
)
from market.protocol.text import Moment

MAX_TIERS: Final = 20
"""The most tiers of a price."""

MAX_UNITS: Final = 2**40
"""The most units of one order."""

PriceForm = Literal["call", "unit", "tiers", "flat"]
Units = Annotated[int, Meta(ge=1, le=MAX_UNITS)]
Whole = Annotated[int, Meta(ge=0, le=MAX_MINOR)]
BasisPoints = Annotated[int, Meta(ge=0, le=10_000)]

_parsed: Final = lru_cache(maxsize=1_024)(parse_amount)
"""The same few amounts are quoted over and over, and decimals are slow to read."""


class BadPrice(ValueError):
    """A price contradicts itself; the message names the member."""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each unit costs behind the step before, up to and with ``up_to``; null is no end."""

    up_to: Units | None
    each_minor: Whole


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an amount was reckoned, for whoever settles the order.

    ``base_minor`` is due once, for the first ``includes`` units together; each unit besides as in
    ``steps``. ``list_minor`` is what the manifest asks for all quoted units: the amount is less
    where one has bargained. ``is_cap``: the amount is the most that it can cost, since the units
    are known only after the work.
    """

    per: PriceForm
    base_minor: Whole
    includes: Annotated[int, Meta(ge=0, le=MAX_UNITS)]
    steps: Annotated[list[Step], Meta(max_length=MAX_TIERS)]
    list_minor: Whole
    is_cap: bool


class _Price(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="per"
):
    """What all forms have.

    A price that has run out is not quoted: at ``valid_until``, or ``valid_seconds`` after its
    version was published, whichever comes first.
    """

    currency: Currency
    valid_until: Moment | None = None
    valid_seconds: Annotated[int, Meta(ge=1, le=315_360_000)] | None = None

    @property
    def per(self) -> PriceForm:
        """The form of this price, as the manifest names it."""
        form: PriceForm = self.__struct_config__.tag  # type: ignore[assignment]
        return form

    def _minor(self, text: str) -> int:
        return _parsed(text, self.currency)


class CallPrice(_Price, frozen=True, kw_only=True, tag="call"):
    """One ``amount`` for the whole request."""

    amount: AmountText

    def base_minor(self) -> int:
        return self._minor(self.amount)

    def steps(self) -> list[Step]:
        return []


class UnitPrice(_Price, frozen=True, kw_only=True, tag="unit"):
    """``amount`` for each unit of the measure."""

    amount: AmountText

    def base_minor(self) -> int:
        return 0

    def steps(self) -> list[Step]:
        return [Step(up_to=None, each_minor=self._minor(self.amount))]


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``amount`` for each unit behind the tier before, up to ``up_to``; the last tier is open."""

    up_to: Units | None = None
    amount: AmountText


class TierPrice(_Price, frozen=True, kw_only=True, tag="tiers"):
    """Each unit at the price of the tier that it falls in."""

    tiers: Annotated[list[Tier], Meta(min_length=1, max_length=MAX_TIERS)]

    def base_minor(self) -> int:
        return 0

    def steps(self) -> list[Step]:
        return [Step(up_to=one.up_to, each_minor=self._minor(one.amount)) for one in self.tiers]


class FlatPrice(_Price, frozen=True, kw_only=True, tag="flat"):
    """``amount`` covers up to ``includes`` units; each unit more costs ``beyond``."""

    amount: AmountText
    includes: Units
    beyond: AmountText

    def base_minor(self) -> int:
        return self._minor(self.amount)

    def steps(self) -> list[Step]:
        return [
            Step(up_to=self.includes, each_minor=0),
            Step(up_to=None, each_minor=self._minor(self.beyond)),
        ]


Price = CallPrice | UnitPrice | TierPrice | FlatPrice


class Split(NamedTuple):
    """Where captured money goes. The parts make up the whole."""

    fee_minor: int
    referral_minor: int
    seller_minor: int


def check_price(price: Price) -> None:
    """Refuse a price that nobody could pay by.

    Raises:
        BadPrice: an amount is nothing, or the tiers do not rise to an open one.
        NotMoney: an amount is none of its currency.
    """
    if isinstance(price, TierPrice):
        ends = [tier.up_to for tier in price.tiers]
        closed = [end for end in ends[:-1] if end is not None]
        if ends[-1] is not None or closed != ends[:-1] or sorted(set(closed)) != closed:
            raise BadPrice("tiers: each up_to must be above the one before; the last has none")
        amounts = [step.each_minor for step in price.steps()]
        names = [f"tiers[{number}].amount" for number in range(len(amounts))]
    elif isinstance(price, FlatPrice):
        amounts = [price.base_minor(), price.steps()[-1].each_minor]
        names = ["amount", "beyond"]
    else:
        amounts, names = [compared_minor(price)], ["amount"]
    for name, amount_minor in zip(names, amounts, strict=True):
        if amount_minor <= 0:
            raise BadPrice(f"{name} must be above zero")


def compared_minor(price: Price) -> int:
    """Return the most that one more unit can cost, by which search compares and filters.

    The amount of a call or a unit; of tiers the dearest; of a flat price its amount, or what a
    unit beyond costs if that is more. So nobody looks cheap by a first unit that costs nothing.
    """
    return max([price.base_minor(), *(step.each_minor for step in price.steps())])


def price_minor(price: Price, units: int) -> int:
    """Return what ``units`` cost, in minor units of the price's currency."""
    return price.base_minor() + _stepped(price.steps(), units)


def price_words(price: Price, unit: str) -> str:
    """Return a price as people say it: ``0.10 XTS per page``."""

    def of(amount_minor: int) -> str:
        return str(Money(amount_minor, price.currency))

    steps = price.steps()
    if isinstance(price, FlatPrice):
        beyond = of(steps[-1].each_minor)
        return f"{of(price.base_minor())} for up to {price.includes} ({unit}), {beyond} per more"
    if isinstance(price, TierPrice):
        said = [
            of(step.each_minor) + (f" up to {step.up_to}" if step.up_to else "") for step in steps
        ]
        return f"{', then '.join(said)}, per {unit}"
    return f"{of(compared_minor(price))} per {unit if steps else 'call'}"


def affordable_units(price: Price, amount_minor: int, *, at_most: int) -> int:
    """Return the most units, up to ``at_most``, that cost no more than ``amount_minor``; or 0."""
    return bisect_right(
        range(1, at_most + 1), amount_minor, key=lambda units: price_minor(price, units)
    )


def terms_of(price: Price, units: int, *, is_cap: bool) -> Terms:
    """Return the terms of a quote of ``units``."""
    return Terms(
        per=price.per,
        base_minor=price.base_minor(),
        includes=price.includes if isinstance(price, FlatPrice) else units,
        steps=price.steps(),
        list_minor=price_minor(price, units),
        is_cap=is_cap,
    )


def plain_terms(per: str, *, amount_minor: int, units: int) -> Terms:
    """Return the terms of an order that was placed before quotes carried any."""
    is_unit = per == "unit"
    return Terms(
        per="unit" if is_unit else "call",
        base_minor=0 if is_unit else amount_minor,
        includes=units,
        steps=[Step(up_to=None, each_minor=amount_minor // units)] if is_unit else [],
        list_minor=amount_minor,
        is_cap=False,
    )


def earned_minor(
    terms: Terms, *, amount_minor: int, units: int, delivered: int, is_accepted: bool
) -> int:
    """Return what ``delivered`` of ``units`` quoted may capture out of ``amount_minor``.

    Accepted, the base (of a call, or a flat price) is due whole; before that, for as many of the
    units that it covers as are delivered, rounded down. Each unit besides earns its step. Where
    one has bargained, all of it shrinks alike.
    """
    if not amount_minor:
        return 0  # Done again for nothing.
    base_minor = terms.base_minor
    if not is_accepted:
        covered = min(terms.includes, units)
        base_minor = pro_rata(base_minor, part=delivered, whole=covered) if covered else 0
    at_list = base_minor + _stepped(terms.steps, min(delivered, units))
    return pro_rata(amount_minor, part=at_list, whole=terms.list_minor)


def split(captured_minor: int, *, fee_basis_points: int, referral_basis_points: int = 0) -> Split:
    """Return the parts of a captured amount: the fee first, a recommender's share, the rest.

    The fee is rounded up, so that an order cut into many never pays less; the share is taken out
    of the seller's part, and rounded down. All are found by subtraction.
    """
    fee_minor = -share(-captured_minor, fee_basis_points)
    left_minor = captured_minor - fee_minor
    referral_minor = share(left_minor, referral_basis_points)
    return Split(fee_minor, referral_minor, left_minor - referral_minor)


def next_part(
    before: Split, captured_minor: int, *, fee_basis_points: int, referral_basis_points: int
) -> Split:
    """Return the parts of the next capture, after which ``captured_minor`` is captured in all.

    However it is cut, the fees together are those of one capture of the whole. Rates that changed
    meanwhile take nothing back, and never more than this part.
    """
    part_minor = captured_minor - sum(before)
    due = split(
        captured_minor,
        fee_basis_points=fee_basis_points,
        referral_basis_points=referral_basis_points,
    )
    fee_minor = min(max(due.fee_minor - before.fee_minor, 0), part_minor)
    left_minor = part_minor - fee_minor
    referral_minor = min(max(due.referral_minor - before.referral_minor, 0), left_minor)
    return Split(fee_minor, referral_minor, left_minor - referral_minor)


def given_back(parts: Split, refunded_minor: int, *, before_minor: int = 0) -> Split:
    """Return who gives back what of a refund, after ``before_minor`` was refunded already.

    In the proportions in which the money was shared out, so that a refund of everything takes
    back exactly that.
    """
    before = _shared(parts, before_minor)
    after = _shared(parts, before_minor + refunded_minor)
    return Split._make(now - then for now, then in zip(after, before, strict=True))


def _shared(parts: Split, amount_minor: int) -> Split:
    """The parts of so much of what was captured: the fee first, then the share, the rest."""
    fee_minor = pro_rata(parts.fee_minor, part=amount_minor, whole=sum(parts))
    left_minor = amount_minor - fee_minor
    left_of_all = sum(parts) - parts.fee_minor
    referral_minor = (
        pro_rata(parts.referral_minor, part=left_minor, whole=left_of_all) if left_of_all else 0
    )
    return Split(fee_minor, referral_minor, left_minor - referral_minor)


def _stepped(steps: Sequence[Step], units: int) -> int:
    return sum(step.each_minor * count for step, count in _counts(steps, units))


def _counts(steps: Sequence[Step], units: int) -> Iterator[tuple[Step, int]]:
    """How many of ``units`` fall into each step."""
    start = 0
    for step in steps:
        end = units if step.up_to is None else min(units, step.up_to)
        if end > start:
            yield step, end - start
            start = end
