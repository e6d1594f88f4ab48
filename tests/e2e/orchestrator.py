"""An orchestrator as a program of its own: it hands its work to two sub-agents, and waits.

``python orchestrator.py KEY URL SESSION STEPS SECONDS``
"""

import subprocess
import sys


def main(key: str, url: str, session_id: str, steps: str, seconds: str) -> None:
    """Start the sub-agents; whatever they have to say, they do not say to this process."""
    program = [sys.executable, "-m", "tests.e2e.sub_agent", key, url, session_id]
    workers = [subprocess.Popen([*program, run, steps, seconds]) for run in ("read", "check")]
    for worker in workers:
        worker.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
