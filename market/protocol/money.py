"""Money: an integer of minor units and a currency (ISO 4217). Never a float.

XTS is the code that ISO 4217 keeps for testing; here it has six decimals, since agents pay
fractions of a cent. People write decimal strings ("0.40"); the wire and the frames carry
``amount_minor``. This module is the only place that converts between the two.
"""

import re
from decimal import Decimal
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

EXPONENTS: Final = {"XTS": 6, "USD": 2, "EUR": 2, "GBP": 2, "JPY": 0}
"""Decimals of each currency the market knows."""

MAX_MINOR: Final = 2**53 - 1
"""The largest amount: what every JSON reader keeps exactly (RFC 8785)."""

AmountMinor = Annotated[int, Meta(gt=0, le=MAX_MINOR, description="minor units, above zero")]
AmountText = Annotated[
    str, Meta(pattern=r"^[0-9]{1,10}(\.[0-9]{1,6})?\Z", description='a decimal, such as "0.40"')
]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", description="ISO 4217 code")]

_DECIMAL: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,18})?")


class NotMoney(ValueError):
    """The text is no amount of a known currency."""


class Money(NamedTuple):
    """An exact amount: ``Money(400_000, "XTS")`` is 0.40 XTS."""

    amount_minor: int
    currency: str

    def __str__(self) -> str:
        # Facts from elsewhere may name a currency whose decimals nobody here knows.
        if self.currency not in EXPONENTS:
            return f"{self.amount_minor} {self.currency} (minor units)"
        return f"{decimal_text(self.amount_minor, self.currency)} {self.currency}"


def parse_amount(text: str, currency: str) -> int:
    """Return ``text`` ("0.40") in minor units of ``currency``.

    Raises:
        NotMoney: the text is no plain decimal, has more decimals than the currency, is too large,
            or the currency is unknown.
    """
    if currency not in EXPONENTS:
        raise NotMoney(f"currency {currency!r} is not one of {', '.join(EXPONENTS)}")
    if not _DECIMAL.fullmatch(text):
        raise NotMoney(f"{text!r} is not a decimal amount such as '0.40'")
    minor = Decimal(text).scaleb(EXPONENTS[currency])
    if minor != minor.to_integral_value():
        raise NotMoney(f"{text!r} has more than {EXPONENTS[currency]} decimals for {currency}")
    if minor > MAX_MINOR:
        raise NotMoney(f"{text!r} is above the largest amount")
    return int(minor)


def decimal_text(amount_minor: int, currency: str) -> str:
    """Return minor units as people write them, with two decimals or as many as it takes."""
    exponent = EXPONENTS[currency]
    sign = "-" if amount_minor < 0 else ""
    whole, part = divmod(abs(amount_minor), 10**exponent)
    decimals = f"{part:0{exponent}d}".rstrip("0").ljust(min(2, exponent), "0") if exponent else ""
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


def share(amount_minor: int, basis_points: int) -> int:
    """Return ``basis_points`` of an amount, rounded down. The rest is found by subtraction."""
    return amount_minor * basis_points // 10_000


def pro_rata(amount_minor: int, *, part: int, whole: int) -> int:
    """Return the share of ``amount_minor`` for ``part`` of ``whole`` units, rounded down."""
    return amount_minor * min(part, whole) // whole
