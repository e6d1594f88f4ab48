"""The sums in ``docs/prices.md`` are what the code reckons."""

import re
import tomllib
from pathlib import Path

import pytest

from market.protocol.manifest import Manifest, check_manifest
from market.protocol.money import parse_amount
from market.protocol.pricing import earned_minor, terms_of

TEXT = (Path(__file__).parents[2] / "docs" / "prices.md").read_text("utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```\n\n((?:\|[^\n]*\n)*)", TEXT, re.DOTALL)
PARTS = re.findall(
    r"^\| (call|unit|tiers|flat) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", TEXT, re.M
)


def manifest_of(block: str) -> Manifest:
    tree = tomllib.loads(block)
    return check_manifest(
        {
            "manifest": 1,
            "id": "acme-pdf",
            "summary": "Extract tables.",
            "tags": ["pdf"],
            "input": {"type": "object"},
            "output": {"type": "object"},
            **tree,
        }
    )


FORMS = {one.price.per: one for one in reversed([manifest_of(block) for block, _ in BLOCKS])}


@pytest.mark.parametrize(("block", "table"), BLOCKS)
def test_every_example_can_be_published_and_costs_what_is_said(block: str, table: str):
    manifest = manifest_of(block)

    for units, amount in re.findall(r"^\| (\d+) \| ([\d.]+) \|$", table, re.M):
        assert manifest.price_minor(int(units)) == parse_amount(amount, "XTS")


@pytest.mark.parametrize(("form", "held", "accepted", "broken_off"), PARTS)
def test_a_part_earns_what_is_said(form: str, held: str, accepted: str, broken_off: str):
    terms = terms_of(FORMS[form].price, 40, is_cap=False)

    earned = [
        earned_minor(
            terms,
            amount_minor=terms.list_minor,
            units=40,
            delivered=delivered,
            is_accepted=is_accepted,
        )
        for delivered, is_accepted in ((40, True), (15, True), (15, False))
    ]

    assert earned == [parse_amount(amount, "XTS") for amount in (held, accepted, broken_off)]


def test_every_form_has_an_example():
    assert set(FORMS) == {"call", "unit", "tiers", "flat"}
    assert len(PARTS) == len(FORMS)
