"""``docs/samples.md`` is what the manifests say, and its stories can be played."""

import json
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from market.protocol.manifest import load_manifest
from scenarios.engine.reading import load
from seller_services.samples import SAMPLES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "samples.md").read_text("utf-8")
STORIES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
CHUNKS = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def made() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "make_samples.py"))


def test_the_page_is_what_the_manifests_say() -> None:
    assert made()["page"]() == PAGE, "run `make reference`"


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_told_with_all_that_goes_in_and_comes_out(name: str) -> None:
    manifest = load_manifest(SAMPLES[name].manifest)
    about = PAGE.partition(f"## {name}\n")[2].partition("\n## ")[0]

    assert manifest.summary in PAGE
    for schema in (manifest.input, manifest.output):
        assert [one for one in schema["properties"] if f"\n| `{one}` |" not in about] == []


@pytest.mark.parametrize(("text", "chunk"), list(zip(STORIES, CHUNKS, strict=True)))
def test_every_story_of_the_page_can_be_played_and_its_chunk_is_the_examples(
    tmp_path: Path, text: str, chunk: str
) -> None:
    path = tmp_path / "story.toml"
    path.write_text(f'scenario = 1\nname = "sample"\n{text}', "utf-8")

    story = load(path)

    service = story.scenario.sellers[0].service
    [example, *_] = load_manifest(SAMPLES[service].manifest).examples
    assert tomllib.loads(text)["buyers"][0]["need"]["input"] == example.input
    assert json.loads(chunk) == example.output


def test_all_samples_have_a_story() -> None:
    assert len(STORIES) == len(SAMPLES)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string", "maxLength": 2_000}, "text of up to 2,000 letters"),
        ({"type": "array", "minItems": 2}, "list of at least 2 items"),
        ({"type": ["number", "string"]}, "number or text"),
        ({"enum": ["a"], "default": "a"}, 'one of `"a"`, `"a"` if not given'),
        ({"type": "integer", "minimum": 0, "maximum": 6}, "whole number 0 to 6"),
    ],
)
def test_a_kind_is_told_with_its_bounds(schema: dict[str, Any], told: str) -> None:
    assert made()["kind_of"](schema) == told


def test_a_key_that_is_not_bare_is_quoted() -> None:
    tree = {"a b": [1, True], "c": {"d": 'say "x"\n'}}

    assert tomllib.loads(f"value = {made()['toml'](tree)}")["value"] == tree
