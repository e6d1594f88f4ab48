"""What a run leaves behind in its folder, so that it can be read and proven later.

``market.db`` (the store), ``run.json`` (the result), ``keys.json`` (every public key: a JWK Set),
``receipts/`` (the market's signed receipts; ``market verify`` checks them offline),
``events.jsonl`` (the logs of all journeys) and ``cast.json`` (who everybody was, by the story).
``clear`` takes all of it away again.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec

from market.analytics.facts import FOLDER as FACTS_FOLDER
from market.analytics.parts import NOTE
from market.analytics.truths import CAST_FILE, Member
from market.protocol.events import Event
from scenarios.engine.result import RunResult

RUN_FILE: Final = "run.json"
KEYS_FILE: Final = "keys.json"
EVENTS_FILE: Final = "events.jsonl"
RECEIPTS_FOLDER: Final = "receipts"

_LEFT: Final = (
    *(f"market.{end}" for end in ("db", "db-wal", "db-shm", "db-journal", "lock")),
    *("market.key", "market.key.lock", "market.key.new", "merchant.key", "merchant.key.new"),
    *("log.jsonl", RUN_FILE, KEYS_FILE, CAST_FILE, EVENTS_FILE, f"{RECEIPTS_FOLDER}/rcp_*.jws"),
    *(f"{FACTS_FOLDER}/{name}" for name in ("*.parquet", NOTE)),
)
"""What a run leaves, and what is drawn from that when it is read."""


def new_folder(parent: Path, name: str) -> Path:
    """Make and return the folder of the next run of a story: ``runs/<name>-<n>``."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("numbers have no end")


def read_result(folder: Path) -> RunResult | None:
    """Return the result that a run left in its folder; None if it left none."""
    try:
        return msgspec.json.decode((folder / RUN_FILE).read_bytes(), type=RunResult)
    except FileNotFoundError:
        return None


def keep(
    folder: Path,
    *,
    result: RunResult,
    events: Iterable[Event],
    keys: Iterable[Mapping[str, Any]],
    receipts: Mapping[str, str],
    cast: Sequence[Member],
) -> None:
    """Write everything but the store, which is there already."""
    text = msgspec.json.format(msgspec.json.encode(result), indent=2)
    (folder / RUN_FILE).write_bytes(text + b"\n")
    published = msgspec.json.format(msgspec.json.encode({"keys": list(keys)}), indent=2)
    (folder / KEYS_FILE).write_bytes(published + b"\n")
    members = msgspec.json.format(msgspec.json.encode(cast), indent=2)
    (folder / CAST_FILE).write_bytes(members + b"\n")
    with (folder / EVENTS_FILE).open("wb") as file:
        for event in events:
            file.write(msgspec.json.encode(event) + b"\n")
    (folder / RECEIPTS_FOLDER).mkdir(exist_ok=True)
    for receipt_id, token in receipts.items():
        (folder / RECEIPTS_FOLDER / f"{receipt_id}.jws").write_text(token + "\n", "utf-8")


def clear(folder: Path) -> None:
    """Take away what a run left in its folder; what anybody else put there stays."""
    for pattern in _LEFT:
        for path in folder.glob(pattern):
            path.unlink()
