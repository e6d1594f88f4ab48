"""The manifest: what a service says it can do, for how much, and on which terms.

People write TOML; the registry keeps the canonical JSON of it, signed by the seller and addressed
by its digest. A published version never changes.
"""

import unicodedata
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import jsonschema_rs
import msgspec
from msgspec import Meta

from market.protocol.addresses import MAX_URL, AddressRefused, target_of
from market.protocol.canonical import NotCanonical, canonical, sha256_text
from market.protocol.misfits import MASK, explain
from market.protocol.money import NotMoney
from market.protocol.pricing import (
    BadPrice,
    Price,
    Terms,
    Units,
    check_price,
    compared_minor,
    price_minor,
    terms_of,
)
from market.protocol.text import Line, Paragraph, Slug, Tag
from market.protocol.toml import NotToml, load_text, read_toml

MAX_MANIFEST: Final = 64 * 1024
"""The longest canonical manifest, in bytes."""


class BadManifest(ValueError):
    """The manifest cannot be published; the message names the member and what to do."""


class Measure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much work a request is: units counted in one member of its input, in steps of ``size``.

    ``{unit = "100 lines", counts = "lines", of = "csv", size = 100}`` makes 250 lines 3 units.
    Work that shows its size only when it is done counts what is ``delivered``, chunk by chunk, and
    an order is for ``at_most`` so many units.
    """

    unit: Line
    counts: Literal["items", "characters", "lines", "delivered"]
    of: Line | None = None
    size: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    at_most: Units | None = None

    @property
    def is_cap(self) -> bool:
        """Whether the units of an order are known only after the work."""
        return self.counts == "delivered"

    def units_of(self, request: Any) -> int:
        """Return the units of an input, at least 1; a missing member counts as none.

        Of work that is counted as it is delivered, these are the most that there can be.
        """
        if self.at_most is not None:
            return self.at_most
        value = request.get(self.of) if isinstance(request, dict) else None
        if self.counts == "items":
            count = len(value) if isinstance(value, list | dict) else 0
        elif not isinstance(value, str):
            count = 0
        else:
            count = len(value.splitlines()) if self.counts == "lines" else len(value)
        return max(1, -(-count // self.size))


class ServiceLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the seller promises of an order, and how many it takes at once."""

    p95_ms: Annotated[int, Meta(ge=1, le=86_400_000)] = 60_000
    deliver_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 600
    max_chunks: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    concurrency: Annotated[int, Meta(ge=1, le=1_000)] = 8


Refund = Literal["never", "before-first-chunk", "within-window"]
"""When a settled order may be refunded on request."""


class Policies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms. ``refund``: when a settled order may be refunded on request, without asking.

    ``redo``: how often an order is delivered again at no price, within ``redo_window_seconds`` of
    its settlement. ``dispute_window_seconds``: how long after it a dispute may be opened; without
    one, the market's setting holds. ``referral_basis_points`` of what the seller gets go to the
    agent on whose recommendation an order came.
    """

    refund: Refund = "never"
    refund_window_seconds: Annotated[int, Meta(ge=0, le=31_536_000)] = 0
    redo: Annotated[int, Meta(ge=0, le=10)] = 0
    redo_window_seconds: Annotated[int, Meta(ge=0, le=31_536_000)] = 0
    dispute_window_seconds: Annotated[int, Meta(ge=0, le=31_536_000)] | None = None
    retention_seconds: Annotated[int, Meta(ge=0, le=31_536_000)] = 0
    data_use: Literal["delivery-only", "improvement", "any"] = "delivery-only"
    referral_basis_points: Annotated[int, Meta(ge=0, le=5_000)] = 0


class Example(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"input": "in", "output": "out"},
):
    """One input and an output that it gives (one chunk of it)."""

    input: dict[str, Any]
    output: dict[str, Any]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a service.

    ``input`` and ``output`` are JSON Schema (2020-12) of the request and of each delivered chunk.
    """

    manifest: Literal[1]
    id: Slug
    version: Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6}){0,2}\Z")] = "1"
    summary: Line
    description: Paragraph = ""
    tags: Annotated[list[Tag], Meta(min_length=1, max_length=12)]
    price: Price
    measure: Measure | None = None
    input: dict[str, Any]
    output: dict[str, Any]
    limits: ServiceLimits = ServiceLimits()
    policies: Policies = Policies()
    support: tuple[Literal["status", "explain", "redo", "refund"], ...] = (
        "status", "explain", "redo", "refund",
    )  # fmt: skip
    examples: Annotated[list[Example], Meta(max_length=8)] = []
    endpoint: Annotated[str, Meta(min_length=1, max_length=MAX_URL)] | None = None
    """Where the seller's gateway calls the service over HTTP; without it the seller's own program
    follows its inbox. The market itself never calls it."""

    def units_of(self, request: Any) -> int:
        """Return how many units of work a request is: 1 without a measure."""
        return self.measure.units_of(request) if self.measure else 1

    def price_minor(self, units: int) -> int:
        """Return what ``units`` cost, in minor units of the price's currency."""
        return price_minor(self.price, units)

    def compared_minor(self) -> int:
        """Return the amount by which search compares this price with others."""
        return compared_minor(self.price)

    def terms(self, units: int) -> Terms:
        """Return the terms of a quote of ``units``."""
        is_cap = self.measure is not None and self.measure.is_cap
        return terms_of(self.price, units, is_cap=is_cap)


def read_manifest(text: str) -> Manifest:
    """Return the manifest that a TOML text declares, checked as ``check_manifest`` does.

    Raises:
        BadManifest: syntax, members, schemas, examples or price are wrong.
    """
    try:
        return check_manifest(read_toml(text))
    except NotToml as error:
        raise BadManifest(f"not TOML: {error}") from error


def load_manifest(path: Path) -> Manifest:
    """Read a TOML manifest from a file.

    Raises:
        BadManifest: it cannot be read, or is wrong; the message starts with the path.
    """
    try:
        return read_manifest(load_text(path))
    except (OSError, UnicodeDecodeError, NotToml, BadManifest) as error:
        raise BadManifest(f"{path}: {error}") from error


def check_manifest(tree: Any) -> Manifest:
    """Return ``tree`` as a manifest whose schemas compile, examples fit and price is money.

    Raises:
        BadManifest: not so; the message names the member.
    """
    try:
        if len(canonical(tree)) > MAX_MANIFEST:
            raise BadManifest(f"longer than {MAX_MANIFEST} bytes")
        manifest = msgspec.convert(tree, Manifest, strict=True)
        check_price(manifest.price)
    except NotCanonical as error:
        raise BadManifest(str(error)) from error
    except NotMoney as error:
        raise BadManifest(f"price: {error}") from error
    except BadPrice as error:
        raise BadManifest(f"price.{error}") from error
    except msgspec.ValidationError as error:
        raise BadManifest(str(error)) from error
    _check_texts(manifest)
    _check_measure(manifest)
    check_endpoint(manifest, calls_loopback=True)
    for name, schema in (("input", manifest.input), ("output", manifest.output)):
        checker = compile_schema(schema, name)
        for number, example in enumerate(manifest.examples):
            value = example.input if name == "input" else example.output
            if not checker.is_valid(value):
                raise BadManifest(f"examples[{number}]: {explain(checker, value)} (in {name})")
    return manifest


def check_endpoint(manifest: Manifest, *, calls_loopback: bool) -> None:
    """Let pass a manifest whose endpoint, if it has one, is of a form that is called.

    Raises:
        BadManifest: it is not; without ``calls_loopback`` neither is one on this machine.
    """
    if manifest.endpoint is None:
        return
    try:
        target_of(manifest.endpoint, calls_loopback=calls_loopback)
    except AddressRefused as error:
        raise BadManifest(f"endpoint: {str(error).rstrip('.')}") from error


def _check_texts(manifest: Manifest) -> None:
    """Let pass texts in their one composed spelling, so that equal ones look and sort alike."""
    unit = manifest.measure.unit if manifest.measure else ""
    texts = {"summary": manifest.summary, "description": manifest.description, "unit": unit}
    for name, text in texts.items():
        if not unicodedata.is_normalized("NFC", text):
            raise BadManifest(f"{name}: write letters with their accents as one (Unicode NFC)")


def _check_measure(manifest: Manifest) -> None:
    form, measure = manifest.price.per, manifest.measure
    if measure is None:
        if form != "call":
            raise BadManifest(f"price.per is '{form}': say what a unit is, with [measure]")
    elif measure.is_cap:
        if form == "call":
            raise BadManifest("measure counts what is delivered: price.per is not 'call' then")
        if measure.at_most is None or measure.of is not None or measure.size != 1:
            raise BadManifest("measure counts what is delivered: it has at_most, no of and no size")
    elif measure.of is None or measure.at_most is not None:
        raise BadManifest("measure counts in the input: it has of, and no at_most")


def compile_schema(schema: dict[str, Any], name: str) -> jsonschema_rs.Validator:
    """Compile a JSON Schema; references may point inside the schema only.

    Raises:
        BadManifest: it is no schema, or refers outside.
    """
    if _has_outside_reference(schema):
        raise BadManifest(f"{name}: $ref may only point inside the schema ('#/...')")
    try:
        return jsonschema_rs.validator_for(schema, pattern_options=_LINEAR, mask=MASK)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        message = str(error).partition("\n")[0]
        raise BadManifest(f"{name} is not a JSON Schema: {message}") from error


def manifest_digest(tree: Any) -> str:
    """Return the digest that addresses a manifest: of its canonical JSON as published."""
    return sha256_text(canonical(tree))


def _has_outside_reference(schema: Any) -> bool:
    if isinstance(schema, dict):
        reference = schema.get("$ref", schema.get("$dynamicRef", "#"))
        if not isinstance(reference, str) or not reference.startswith("#"):
            return True
        return any(_has_outside_reference(value) for value in schema.values())
    return isinstance(schema, list) and any(map(_has_outside_reference, schema))


_LINEAR: Final = jsonschema_rs.RegexOptions()
"""Patterns run on a linear-time engine: a seller's schema cannot stall the market (D4)."""
