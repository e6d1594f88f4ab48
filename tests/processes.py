"""Real processes for tests: a market and its sellers, which may be killed at any moment."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).parent.parent
START_SECONDS = 120.0
STOP_SECONDS = 20.0
COMMAND = str(Path(sys.executable).with_name("market"))
"""The installed command, as people call it."""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A program that is started, ended and started again; what it says is kept in a file."""

    def __init__(
        self, command: Sequence[str], *, log: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._log = log
        kept = {name: text for name, text in os.environ.items() if not name.startswith("MARKET_")}
        self._environ = {**kept, **(environ or {})}
        self._running: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._running is not None:
            self.kill()

    @property
    def pid(self) -> int:
        return self.running.pid

    @property
    def running(self) -> "subprocess.Popen[bytes]":
        assert self._running is not None, "it has not been started"
        return self._running

    @property
    def said(self) -> str:
        """What it wrote so far, for the message of a test that fails."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environ,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def kill(self) -> None:
        """End it without a word: kill -9."""
        self.running.kill()
        self.running.wait()

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self.running.send_signal(signal.SIGTERM)
        return self.running.wait(STOP_SECONDS)

    def resident_bytes(self) -> int:
        """The memory that it holds."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024


class MarketProcess(Process):
    """``market serve`` on a port of its own, which it keeps when it is started again."""

    def __init__(
        self, home: Path, command: Sequence[str] = (COMMAND, "serve"), **settings: Any
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = home
        chosen = {"home": home, "port": self.port, "log_level": "warning", **settings}
        environ = {f"MARKET_{name.upper()}": str(value) for name, value in chosen.items()}
        super().__init__(command, log=home / "market.log", environ=environ)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        super().start()
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.running.poll() is None, f"the market ended: {self.said}"
            assert time.monotonic() < end, f"the market does not answer: {self.said}"
            time.sleep(0.02)

    def restart(self) -> None:
        """Kill it, and start it again where it stopped."""
        self.kill()
        self.start()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).is_success
        except httpx.TransportError:
            return False
