"""The bill of materials: whatever is locked is in it, with the bytes that are let in."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
MADE = runpy.run_path(str(PROJECT / "docs" / "make_sbom.py"))
LOCKS = {"requirements.lock": "sbom.json", "requirements-dev.lock": "sbom-dev.json"}


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text("utf-8")) for path in MADE["write"](tmp_path)}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_is_in_it_with_every_hash(written: dict[str, Any], lock: str):
    """X3."""
    text = (PROJECT / lock).read_text("utf-8")
    pinned = re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==(\S+)", text, re.MULTILINE)

    document = written[LOCKS[lock]]

    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    components = document["components"]
    assert [(one["name"], one["version"]) for one in components] == pinned
    assert len(pinned) > 40
    hashes = [each["content"] for one in components for each in one["hashes"]]
    assert hashes == re.findall(r"--hash=sha256:([0-9a-f]{64})", text)
    assert all(one["hashes"] for one in components)


@pytest.mark.parametrize("name", LOCKS.values())
def test_everything_in_it_is_asked_for_by_something(written: dict[str, Any], name: str):
    document = written[name]
    root = document["metadata"]["component"]["bom-ref"]
    needs = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    known = {one["bom-ref"] for one in document["components"]}

    reached: set[str] = set()
    ahead = [root]
    while ahead:
        found = set(needs[ahead.pop()]) - reached
        reached |= found
        ahead += found

    assert set(needs) == {root, *known}
    assert reached == known


def test_the_same_locks_make_the_same_bytes(tmp_path: Path):
    first, second = MADE["write"](tmp_path / "one"), MADE["write"](tmp_path / "two")

    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_lock_of_another_form_is_refused():
    with pytest.raises(ValueError, match="not a locked package"):
        list(MADE["packages"]("litestar>=2.25\n"))
