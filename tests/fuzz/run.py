"""``make fuzz``: schemathesis over the published OpenAPI document, as an agent of every kind.

``python -m tests.fuzz.run [--examples N] [--role ROLE]...`` starts a market of its own with
something in it, and sends every operation its boundary values, ``N`` random requests (good and
bad), and chains of requests that follow from each other's answers. Every check of schemathesis is
on: no 5xx, documented statuses, bodies and headers, bad data refused, good data taken, 405 and
``Allow``, tokens really asked for.

``schemathesis.toml`` beside this file lists what is left out, and why. The exit code is 0 only if
no check failed for any role.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from tests.fuzz.town import ROLES, Town, key_of, settle
from tests.processes import MarketProcess

HERE: Final = Path(__file__).parent
EXAMPLES: Final = 100
RUN_SECONDS: Final = 1_200
GRANT_MINOR: Final = 10_000_000
JOBS: Final = 2
_COUNTED: Final = re.compile(r"\d+ generated, [^\n]*")
TOOL: Final = str(Path(sys.executable).with_name("schemathesis"))


def main() -> int:
    """Run every role; return the exit code."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="per operation")
    parser.add_argument("--role", action="append", choices=ROLES, help="default: every one")
    arguments = parser.parse_args()
    roles = arguments.role or ROLES
    with ThreadPoolExecutor(max_workers=JOBS) as pool:
        codes = list(pool.map(partial(judge, examples=arguments.examples), roles))
    return int(any(codes))


def judge(role: str, *, examples: int) -> int:
    """Send all requests of one role to a new market; return 0 if no check failed.

    What the tool says is printed when it is done, of a good run the sums alone.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="market-fuzz-") as name:
        folder = Path(name)
        with MarketProcess(
            folder, signup_grant_minor=GRANT_MINOR, overseer_ids=key_of("overseer").kid
        ) as market:
            ids = asyncio.run(settle(market.url))
            town = folder / "town.json"
            town.write_bytes(msgspec.json.encode(Town(url=market.url, role=role, ids=ids)))
            done = _fuzz(market.url, town, examples)
            is_up = market.running.poll() is None
    seconds = time.monotonic() - began
    said = done.stdout if done.returncode else "".join(_COUNTED.findall(done.stdout)[-1:])
    _say(f"{role}, {seconds:.0f} s: {said.strip()}")
    if not is_up:
        _say(f"{role}: the market ended under it")
    return 0 if is_up and done.returncode == 0 and _COUNTED.search(done.stdout) else 1


def _fuzz(url: str, town: Path, examples: int) -> "subprocess.CompletedProcess[str]":
    command = [
        TOOL, "--config-file", str(HERE / "schemathesis.toml"), "run", f"{url}/openapi.json",
        "--max-examples", str(examples), "--generation-deterministic", "--no-color",
        "--continue-on-failure",
    ]  # fmt: skip
    environ = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "FUZZ_TOWN": str(town)}
    return subprocess.run(
        command,
        env=environ,
        cwd=HERE.parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
