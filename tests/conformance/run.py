"""``make conformance``: others' suite and others' client, against a market on both databases.

``python -m tests.conformance.run [sqlite|postgresql|reference]...`` starts each server as a
process of its own and runs two files under vitest against it: the published conformance suite
with subscriptions on, and the npm client's checks. Without names it is the market on SQLite, then
on PostgreSQL. ``reference`` is the protocol's own server: the harness proves itself on it, and
six tests are known to fail there.

The last line sums the suite: ``N passed, M failed``. The exit code is 0 only when every test of
both files passed on every server, and none was left out.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tests.interop.place import enter
from tests.postgres import running_postgres
from tests.processes import START_SECONDS, MarketProcess, Process, free_port

HERE: Final = Path(__file__).parent
MODULES: Final = HERE / "node_modules"
SUITE: Final = "suite.test.js"
CLIENT: Final = "client.test.js"
SUITE_TESTS: Final = 338
"""How many tests the suite has; fewer would mean that some were left out without a word."""

NODE: Final = 20
LONG_POLL_SECONDS: Final = 0.5
"""How long the servers' long polls wait: two tests of the suite sit one out."""

INSTALL_SECONDS: Final = 300
RUN_SECONDS: Final = 240
SHOWN: Final = 40
"""Failures that are named; the rest are counted."""


class Unready(RuntimeError):
    """This machine cannot run the suite; the message says what it lacks."""


class Check(msgspec.Struct, rename="camel"):
    """One test as vitest reports it."""

    full_name: str
    status: str
    failure_messages: list[str] = []


class CheckedFile(msgspec.Struct, rename="camel"):
    assertion_results: list[Check]
    message: str = ""


class Outcome(msgspec.Struct, rename="camel"):
    """What vitest reports of one file."""

    test_results: list[CheckedFile]

    @property
    def checks(self) -> list[Check]:
        return [check for file in self.test_results for check in file.assertion_results]

    @property
    def passed(self) -> int:
        return sum(check.status == "passed" for check in self.checks)

    @property
    def others(self) -> list[Check]:
        """Tests that failed or were left out."""
        return [check for check in self.checks if check.status != "passed"]


class Verdict(NamedTuple):
    """How one server stood."""

    suite: Outcome
    client: Outcome

    @property
    def failed(self) -> int:
        """Tests of the suite that did not pass: a missing one counts as failed."""
        return max(SUITE_TESTS, len(self.suite.checks)) - self.suite.passed

    @property
    def is_good(self) -> bool:
        return not self.failed and bool(self.client.passed) and not self.client.others


@contextmanager
def market(**settings: str) -> Iterator[str]:
    """Serve a market whose raw streams need no token; yields its address."""
    with tempfile.TemporaryDirectory(prefix="market-conformance-") as folder:
        process = MarketProcess(
            Path(folder), open_streams="true", long_poll_seconds=LONG_POLL_SECONDS, **settings
        )
        with process:
            yield process.url


@contextmanager
def market_on_postgres() -> Iterator[str]:
    """Serve such a market on PostgreSQL; yields its address."""
    with running_postgres() as address, market(store=address) as url:
        yield url


@contextmanager
def reference() -> Iterator[str]:
    """Serve the protocol's own server, in memory; yields its address."""
    port = free_port()
    command = ["node", str(HERE / "reference.js"), str(port), str(LONG_POLL_SECONDS * 1_000)]
    with tempfile.TemporaryDirectory(prefix="reference-") as folder:
        log = Path(folder) / "log"
        with Process(command, log=log) as process:
            wait_for(port, process)
            yield f"http://127.0.0.1:{port}"


def wait_for(port: int, process: Process) -> None:
    """Return when something listens on a port."""
    end = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.running.poll() is not None or time.monotonic() > end:
            raise Unready(f"the reference server did not start: {process.said}")
        time.sleep(0.02)


SERVERS: Final[dict[str, Callable[[], AbstractContextManager[str]]]] = {
    "sqlite": market,
    "postgresql": market_on_postgres,
    "reference": reference,
}


def prepare() -> None:
    """Install what ``package-lock.json`` names, unless it is there already.

    Raises:
        Unready: there is no Node 20 or later with npm, or the packages cannot be had.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unready(f"The suite runs on Node: install Node {NODE} or later with npm.")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.strip().removeprefix("v").split(".")[0]) < NODE:
        raise Unready(f"Node {NODE} or later is needed; this is {version.stdout.strip()}.")
    installed, wanted = MODULES / ".package-lock.json", HERE / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= wanted.stat().st_mtime:
        return
    say("Installing what tests/conformance/package-lock.json names (once) ...")
    done = subprocess.run(
        ["npm", "ci", "--no-progress"],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    if done.returncode:
        shutil.rmtree(MODULES, ignore_errors=True)
        raise Unready(f"npm could not install the suite:\n{done.stderr.strip()[-2_000:]}")


def judge(name: str) -> Verdict:
    """Start a server, run both files against it, and print what did not pass."""
    with SERVERS[name]() as url:
        # The suite has no token to show; the client comes as an agent does, with one.
        token = "" if name == "reference" else asyncio.run(enter(url)).token
        verdict = Verdict(run(SUITE, url), run(CLIENT, url, token))
    for title, outcome in (("suite", verdict.suite), ("npm client", verdict.client)):
        say(f"{name}, {title}: {outcome.passed} of {len(outcome.checks)} passed")
        for check in outcome.others[:SHOWN]:
            cause = "".join(check.failure_messages).strip().partition("\n")[0]
            say(f"  {check.status}: {check.full_name}\n    {cause}")
    return verdict


def run(file: str, url: str, token: str = "") -> Outcome:
    """Run one file of tests under vitest and return what it reports."""
    environ = {"STREAMS_URL": url, "LONG_POLL_MS": str(LONG_POLL_SECONDS * 1_000), "TOKEN": token}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run(
            ["node", str(MODULES / "vitest" / "vitest.mjs"), "run", file,
             "--reporter=json", f"--outputFile={report}"],
            cwd=HERE,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )  # fmt: skip
        if not report.exists():
            raise Unready(f"vitest gave no report on {file}:\n{done.stderr.strip()[-2_000:]}")
        outcome = msgspec.json.decode(report.read_bytes(), type=Outcome)
    for broken in outcome.test_results:
        if not broken.assertion_results:
            say(broken.message)
    return outcome


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Judge the servers that were named; 0 when all is well, 1 when not, 2 for misuse."""
    names = sys.argv[1:] or ["sqlite", "postgresql"]
    if not set(names) <= set(SERVERS):
        say(f"There are the servers {', '.join(SERVERS)}.")
        return 2
    # Asked to end, it ends as an error does: the servers end with their blocks.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        prepare()
        verdicts = [judge(name) for name in names]
    except (Unready, subprocess.TimeoutExpired) as error:
        say(f"error: {error}" if os.environ.get("CI") else str(error))
        return 1
    passed = sum(verdict.suite.passed for verdict in verdicts)
    say(f"{passed} passed, {sum(verdict.failed for verdict in verdicts)} failed")
    return 0 if all(verdict.is_good for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
