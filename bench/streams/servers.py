"""The servers side by side: a market, and the reference server with either of its stores."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.harness import ROOT, Served, Server, Unready

PACKAGES: Final = ROOT / "tests" / "conformance"
"""Where npm installs the reference server; ``make conformance`` does it."""

LONG_POLL_SECONDS: Final = 20


class Reference(Served):
    """The reference server, in memory or with files in a folder."""

    def __init__(self, name: str, folder: Path | None = None) -> None:
        super().__init__(name)
        self._folder = folder

    def _start(self) -> "subprocess.Popen[bytes]":
        node = shutil.which("node")
        if node is None or not (PACKAGES / "node_modules").exists():
            raise Unready("The reference server is not installed: `make conformance` installs it.")
        command = [
            node,
            str(PACKAGES / "reference.js"),
            str(self.port),
            str(LONG_POLL_SECONDS * 1_000),
        ]
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            command.append(str(self._folder))
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


@contextmanager
def side_by_side(folder: Path) -> Iterator[list[Served]]:
    """Run all three within the block; ours is the first."""
    with (
        Server(
            "market",
            folder / "market",
            open_streams="true",
            long_poll_seconds=LONG_POLL_SECONDS,
        ) as ours,
        Reference("memory") as memory,
        Reference("file", folder / "file") as file,
    ):
        yield [ours, memory, file]
