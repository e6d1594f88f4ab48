"""The files of a sweep: what is planned and how far it is, and the outcome of every run.

A run that is played alone has a note of its own beside what it leaves.

A run leaves its outcome beside its folder when it is over. What has one was played to its end,
whatever became of the program afterwards. Each file is written whole or not at all.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from scenarios.engine.outcomes import Outcome
from scenarios.engine.sweeping import Single, Sweep

SWEEP_FILE: Final = "sweep.json"
SINGLE_FILE: Final = "played.json"


class BadSweep(ValueError):
    """The folder holds no sweep or run that can be gone on with; the message says why."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep everybody else from playing in the folder meanwhile.

    Raises:
        BadSweep: somebody does already.
    """
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadSweep(f"{folder} is being played by another process") from error
        yield
    finally:
        os.close(lock)


def keep_sweep(folder: Path, sweep: Sweep) -> None:
    """Write what is planned, and how far it is."""
    _write(folder / SWEEP_FILE, msgspec.json.encode(sweep))


def read_sweep(folder: Path) -> Sweep:
    """Return what is planned in a folder, and how far it was noted to be.

    Raises:
        BadSweep: there is no sweep in the folder, or it cannot be read.
    """
    try:
        return msgspec.json.decode((folder / SWEEP_FILE).read_bytes(), type=Sweep)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadSweep(f"there is no {SWEEP_FILE} in {folder}, and no {SINGLE_FILE}") from error
    except (OSError, msgspec.DecodeError) as error:
        raise BadSweep(f"{folder / SWEEP_FILE} cannot be read: {error}") from error


def keep_single(folder: Path, single: Single) -> None:
    """Write what is played in a folder, and whether it is over."""
    _write(folder / SINGLE_FILE, msgspec.json.encode(single))


def read_single(folder: Path) -> Single | None:
    """Return what was played alone in a folder; None if there is no such run.

    Raises:
        BadSweep: it cannot be read.
    """
    file = folder / SINGLE_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Single)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise BadSweep(f"{file} cannot be read: {error}") from error


def keep_outcome(run: Path, outcome: Outcome) -> None:
    """Write the outcome of the run in the folder ``run`` beside it."""
    _write(_outcome_file(run), msgspec.json.encode(outcome))


def read_outcome(run: Path, seed: int) -> Outcome | None:
    """Return the outcome of the run in a folder; None if it has none under this seed."""
    try:
        outcome = msgspec.json.decode(_outcome_file(run).read_bytes(), type=Outcome)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return outcome if outcome.seed == seed and run.is_dir() else None


def forget_outcome(run: Path) -> None:
    """Take away the outcome of a run that is played anew."""
    _outcome_file(run).unlink(missing_ok=True)


def _outcome_file(run: Path) -> Path:
    return run.with_name(f"{run.name}.json")


def _write(path: Path, encoded: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(msgspec.json.format(encoded, indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
