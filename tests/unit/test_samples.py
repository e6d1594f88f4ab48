"""The sample services do what their manifests say, on real input."""

import json
from pathlib import Path
from typing import Any

import pytest

from market.protocol.canonical import canonical
from market.protocol.manifest import Manifest, compile_schema, load_manifest
from market.protocol.misfits import explain
from market.protocol.wire import OrderView
from seller_services import CannotDeliver, Chunk, Order
from seller_services.samples import SAMPLES
from seller_services.samples.convert_units import convert_item, rounded, units
from seller_services.samples.key_sentences import pick_from, rarities
from seller_services.samples.profile_csv import read_csv
from seller_services.samples.sentences import sections, sentences, words

DATA = Path(__file__).parents[2] / "scenarios" / "data"
INPUTS: dict[str, dict[str, Any]] = {
    "profile-csv": {"csv": (DATA / "time_zones.csv").read_text("utf-8")},
    "key-sentences": {"text": (DATA / "python_license.txt").read_text("utf-8")},
    "quick-sentences": {"text": (DATA / "python_license.txt").read_text("utf-8")},
    "page-outline": {"html": (DATA / "idle_help.html").read_text("utf-8")},
    "convert-units": json.loads((DATA / "conversions.json").read_text("utf-8")),
}


def order_of(name: str, request: dict[str, Any]) -> Order:
    manifest = load_manifest(SAMPLES[name].manifest)
    known: dict[str, Any] = dict.fromkeys(OrderView.__struct_fields__, 0)
    units = manifest.units_of(request)
    said = {"input": request, "units": units, "terms": manifest.terms(units)}
    return Order(OrderView(**(known | said)))


def deliver(name: str, request: dict[str, Any]) -> list[Chunk]:
    return list(SAMPLES[name].handler(order_of(name, request)))  # type: ignore[arg-type]


def manifest_of(name: str) -> Manifest:
    return load_manifest(SAMPLES[name].manifest)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_samples_manifest_carries_its_name_and_examples(name: str) -> None:
    manifest = manifest_of(name)

    assert manifest.id == name
    assert manifest.examples


@pytest.mark.parametrize("name", SAMPLES)
def test_every_example_is_a_true_output(name: str) -> None:
    for example in manifest_of(name).examples:
        outputs = [chunk.output for chunk in deliver(name, example.input)]

        assert example.output in outputs


@pytest.mark.parametrize("name", SAMPLES)
def test_real_input_fits_and_so_does_each_chunk_of_output(name: str) -> None:
    manifest = manifest_of(name)
    asked, made = compile_schema(manifest.input, "in"), compile_schema(manifest.output, "out")

    assert explain(asked, INPUTS[name]) == ""
    chunks = deliver(name, INPUTS[name])

    assert len(chunks) > 1, "it streams"
    for chunk in chunks:
        assert explain(made, chunk.output) == ""
        assert len(canonical(chunk.output)) < 48 * 1024


@pytest.mark.parametrize("name", SAMPLES)
def test_a_whole_delivery_has_the_units_that_were_paid_for(name: str) -> None:
    chunks = deliver(name, INPUTS[name])

    assert sum(chunk.units for chunk in chunks) == manifest_of(name).units_of(INPUTS[name])
    assert all(chunk.units >= 0 for chunk in chunks)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_handler_repeats_itself_exactly(name: str) -> None:
    assert deliver(name, INPUTS[name]) == deliver(name, INPUTS[name])


def test_the_two_rivals_differ_in_price_and_in_what_they_deliver() -> None:
    key, quick = manifest_of("key-sentences"), manifest_of("quick-sentences")
    request = INPUTS["key-sentences"]

    assert key.input == quick.input
    assert key.price_minor(key.units_of(request)) > quick.price_minor(quick.units_of(request))
    assert "keywords" in key.output["properties"]
    assert "keywords" not in quick.output["properties"]


def test_a_profile_tells_the_facts_of_a_column() -> None:
    profiles = {chunk.output["column"]: chunk.output for chunk in deliver(*_zones())}

    assert profiles["zone"]["distinct"] == 418
    assert profiles["country_code"]["empty"] == 0, "Namibia is NA, and not absent"
    assert profiles["latitude"]["type"] == "number"
    assert profiles["country"]["most_common"][0] == {"value": "United States", "count": 29}


def _zones() -> tuple[str, dict[str, Any]]:
    return "profile-csv", INPUTS["profile-csv"]


@pytest.mark.parametrize("text", ["", "only,a,header\n", "\n\n\n"])
def test_a_csv_without_rows_cannot_be_profiled(text: str) -> None:
    with pytest.raises(CannotDeliver):
        read_csv(text, ",")


def test_values_that_json_cannot_hold_are_told_as_text() -> None:
    (chunk,) = deliver("profile-csv", {"csv": "n\n9007199254740993\n1\n"})

    assert chunk.output["highest"] == "9007199254740993"
    canonical(chunk.output)


def test_sentences_end_where_people_think_they_do() -> None:
    text = 'See e.g. Mr. Smith of J. Smith & Co. today. "Really?" Yes! It costs 3.50 a piece.'

    assert sentences(text) == [
        "See e.g. Mr. Smith of J. Smith & Co. today.",
        '"Really?"',
        "Yes!",
        "It costs 3.50 a piece.",
    ]


def test_sections_lie_between_blank_lines() -> None:
    assert sections("\n\none\ntwo\n \t\nthree\n") == ["one two", "three"]


def test_the_sentence_that_the_others_speak_of_is_picked() -> None:
    section = (
        "It rained. The market sells fish. Fish from the market is fresh, since the market "
        "gets fish at dawn. Dawn is early."
    )

    picked = pick_from(section, 1, rarities([set(words(section))]))

    assert picked["sentences"][0].startswith("Fish from the market")
    assert picked["keywords"][:2] == ["fish", "market"]


@pytest.mark.parametrize(("said", "wanted"), [("3 sentences, please", 3), ("thank you", 1)])
def test_a_steer_changes_how_many_sentences_follow(said: str, wanted: int) -> None:
    section = "Bees make honey. Honey is sweet. A hive has bees. Bees keep a hive."
    order = order_of("key-sentences", {"text": f"{section}\n\n{section}"})
    chunks = SAMPLES["key-sentences"].handler(order)

    before = next(chunks)  # type: ignore[arg-type]
    order.steering.put(7, said)
    after = next(chunks)  # type: ignore[arg-type]

    assert len(before.output["sentences"]) == 1
    assert len(after.output["sentences"]) == wanted
    assert order.steering.taken() == [7]


def test_an_outline_drops_scripts_and_the_links_to_them() -> None:
    html = (
        "<title>T</title><script>var a = '<h1>no</h1>'</script><p>Hi <a href=''>x</a>"
        "<h2>A &amp; B</h2><a href='data:text/html,x'>d</a><a href='b.html'>b</a><a name=z>z</a>"
    )

    outputs = [chunk.output for chunk in deliver("page-outline", {"html": html})]

    assert [(one["level"], one["heading"]) for one in outputs] == [(0, ""), (2, "A & B")]
    assert outputs[1]["links"] == [{"text": "b", "href": "b.html"}]


def test_a_page_without_text_still_delivers_one_section() -> None:
    (chunk,) = deliver("page-outline", {"html": "<p></p>"})

    assert chunk.output["words"] == 0
    assert chunk.units == 1


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        ("1", "EUR", "DEM", "1.96"),
        ("1.95583", "DEM", "EUR", "1.00"),
        ("1000", "EUR", "ITL", "1936270.00"),
        ("100", "DEM", "FRF", "335.38"),  # 51.129 euros in between (Article 4)
        ("-100", "DEM", "EUR", "-51.13"),
        ("26.2", "mile", "kilometre", "42.1648128"),
        ("-40", "celsius", "fahrenheit", "-40"),
        ("0", "kelvin", "celsius", "-273.15"),
        ("36", "kilometre-per-hour", "metre-per-second", "10"),
    ],
)
def test_conversions_follow_the_table(value: str, source: str, target: str, expected: str) -> None:
    assert convert_item({"value": value, "from": source, "to": target})["value"] == expected


def test_rounding_goes_up_at_a_half_on_either_side_of_zero() -> None:
    half = convert_item({"value": "0.005", "from": "EUR", "to": "EUR"})["value"]

    assert half == "0.01"
    assert convert_item({"value": "-0.005", "from": "EUR", "to": "EUR"})["value"] == "-0.01"
    assert convert_item({"value": "-0.00499", "from": "EUR", "to": "EUR"})["value"] == "0.00"
    assert rounded(units()["DEM"].factor, 2) == "1.96"


def test_what_cannot_be_converted_says_why_and_the_rest_goes_on() -> None:
    items = [
        {"value": "1", "from": "mile", "to": "celsius"},
        {"value": "1", "from": "cubit", "to": "metre"},
        {"value": "1", "from": "inch", "to": "millimetre"},
    ]

    outputs = [chunk.output for chunk in deliver("convert-units", {"items": items})]

    assert outputs[0]["problem"] == "length is no temperature"
    assert outputs[1]["problem"] == "unknown unit: cubit"
    assert outputs[2]["value"] == "25.4"


def test_every_rate_has_its_date_and_source() -> None:
    assert all(unit.as_of and unit.source for unit in units().values())
