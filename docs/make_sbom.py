"""Write the bill of materials, from the locks and nothing else: ``make sbom``.

CycloneDX 1.6 in JSON, one document for each lock, into ``dist/``: ``sbom.json`` is what a market is
installed from, ``sbom-dev.json`` that and the tools. They name each package with its version, the
SHA-256 of every file that installs it, and which package asked for it. The same locks give the
same bytes; nothing is installed or asked for over a network.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).parents[1]
DOCUMENTS = {"requirements.lock": "sbom.json", "requirements-dev.lock": "sbom-dev.json"}
_HEAD = re.compile(
    r"(?P<name>[a-z0-9._-]+)(?:\[[a-z0-9,._-]+\])?==(?P<version>\S+)(?: ; (?P<marker>.*?))? \\"
)
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"^    #(?: via|  ) ([^\s\[]+)", re.MULTILINE)


class Package(NamedTuple):
    """One package of a lock. ``marker`` says where it is installed, "" for everywhere."""

    name: str
    version: str
    marker: str
    hashes: list[str]
    asked_for_by: list[str]

    @property
    def reference(self) -> str:
        """The package's URL (purl), by which tools look it up."""
        return f"pkg:pypi/{self.name}@{self.version}"


def packages(lock: str) -> Iterator[Package]:
    """Yield each package of a lock's text.

    Raises:
        ValueError: a line of the lock is of no known form.
    """
    for block in re.split(r"^(?=[^ #\n])", lock, flags=re.MULTILINE)[1:]:
        head = _HEAD.match(block)
        if head is None:
            raise ValueError(f"not a locked package: {block.splitlines()[0]}")
        yield Package(
            name=head["name"],
            version=head["version"],
            marker=head["marker"] or "",
            hashes=_HASH.findall(block),
            asked_for_by=_VIA.findall(block),
        )


def bill(lock: str, project: dict[str, Any]) -> dict[str, Any]:
    """Return the document for a lock's text and the ``[project]`` of ``pyproject.toml``."""
    locked = list(packages(lock))
    root = f"pkg:pypi/{project['name']}@{project['version']}"
    known = {one.name: one.reference for one in locked}
    needs: dict[str, set[str]] = {root: set(), **{one.reference: set() for one in locked}}
    for wanted in project["dependencies"]:
        needs[root].add(known[_NAME.match(wanted)[0].lower()])
    for one in locked:
        for asker in one.asked_for_by:
            if asker == project["name"]:
                needs[root].add(one.reference)
            elif asker in known:  # not "-c requirements.lock", which asks for nothing
                needs[known[asker]].add(one.reference)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": project["name"],
                "version": project["version"],
                "purl": root,
            }
        },
        "components": [_component(one) for one in locked],
        "dependencies": [
            {"ref": reference, "dependsOn": sorted(found)} for reference, found in needs.items()
        ],
    }


def _component(one: Package) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": one.reference,
        "name": one.name,
        "version": one.version,
        "purl": one.reference,
        "hashes": [{"alg": "SHA-256", "content": content} for content in one.hashes],
    }
    if one.marker:
        component["properties"] = [{"name": "agent-market:installed-where", "value": one.marker}]
    return component


def write(folder: Path) -> list[Path]:
    """Write both documents to a folder; return where they are."""
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for lock, name in DOCUMENTS.items():
        document = bill((PROJECT / lock).read_text("utf-8"), pyproject["project"])
        path = folder / name
        path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for path in write(PROJECT / "dist"):
        sys.stdout.write(f"{path.relative_to(PROJECT)}\n")
