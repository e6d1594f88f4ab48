"""The table: means over seeds with the half-width of their 95 % interval, and what was expected."""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Final

import msgspec

from market.lab.measures import MEASURES
from market.lab.plan import Plan
from market.lab.play import Played
from market.lab.rankers import OWN

_STUDENT: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
"""The 97.5 % quantile of Student's t for 1, 2, ... degrees of freedom."""

_NORMAL: Final = 1.96


class Figure(msgspec.Struct, frozen=True):
    """The mean over the seeds, and half the width of its 95 % interval; None for one value.

    ``values`` has one for each seed, None where the figure had no meaning.
    """

    mean: float
    half_width: float | None
    values: list[float | None]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One attack under one algorithm. ``seeds`` are those that were played to the end."""

    attack: str
    algorithm: str
    seeds: list[int]
    orders: int
    refused: dict[str, int]
    figures: dict[str, Figure | None]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A law that a market of the lab broke."""

    attack: str
    algorithm: str
    seed: int
    detail: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of all cells: the same seeds and the same size give the same report."""

    plan: Plan
    rows: list[Row]
    findings: list[Finding]


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What the market's own rule is held to."""

    title: str
    attacks: tuple[str, ...]
    figure: str
    at_most: float | None = None
    at_least: float | None = None


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of an expectation: the least favourable mean, and where."""

    title: str
    is_met: bool
    found: float
    attack: str


EXPECTED: Final = (
    Expectation(
        title="a sybil ring gets under 1 % of honest buyers' money",
        attacks=("sybil",), figure="share", at_most=0.01,
    ),
    Expectation(
        title="scores go with true quality in the calm market (above 0.8)",
        attacks=("calm",), figure="rho", at_least=0.8,
    ),
    Expectation(
        title="and under each attack",
        attacks=("sybil", "collusion", "bad-mouthing"), figure="rho", at_least=0.8,
    ),
    Expectation(
        title="an exit scammer fails under 20 orders before it leaves the upper half",
        attacks=("exit",), figure="failed", at_most=20.0,
    ),
)  # fmt: skip


def report(plan: Plan, played: Iterable[Played]) -> Report:
    """Return the table of all cells that were played, in the order of their attacks."""
    cells: dict[tuple[str, str], list[Played]] = {}
    findings: list[Finding] = []
    for one in played:
        cells.setdefault((one.cell.attack, one.cell.algorithm), []).append(one)
        findings += [
            Finding(
                attack=one.cell.attack,
                algorithm=one.cell.algorithm,
                seed=one.cell.seed,
                detail=detail,
            )
            for detail in one.findings
        ]
    rows = [_row(attack, algorithm, group) for (attack, algorithm), group in cells.items()]
    return Report(plan=plan, rows=rows, findings=findings)


def judge(found: Report) -> list[Judged]:
    """Hold the market's own rule against what is expected of it, where the report tells."""
    own = {row.attack: row for row in found.rows if row.algorithm == OWN}
    judged = []
    for expectation in EXPECTED:
        means = [
            (figure.mean, attack)
            for attack in expectation.attacks
            if attack in own and (figure := own[attack].figures[expectation.figure]) is not None
        ]
        if means:
            judged.append(_judged(expectation, means))
    return judged


def _judged(expectation: Expectation, means: Sequence[tuple[float, str]]) -> Judged:
    if expectation.at_most is not None:
        found, attack = max(means)
        is_met = found < expectation.at_most
    else:
        found, attack = min(means)
        is_met = found > (expectation.at_least or 0.0)
    return Judged(title=expectation.title, is_met=is_met, found=found, attack=attack)


def _row(attack: str, algorithm: str, group: Sequence[Played]) -> Row:
    group = sorted(group, key=lambda one: one.cell.seed)
    refused: Counter[str] = Counter()
    for one in group:
        refused.update(one.refused)
    return Row(
        attack=attack,
        algorithm=algorithm,
        seeds=[one.cell.seed for one in group],
        orders=sum(one.orders for one in group),
        refused=refused,
        figures={name: figure([one.figures[name] for one in group]) for name in MEASURES},
    )


def figure(values: Sequence[float | None]) -> Figure | None:
    """Return the mean of the values that there are, with its half-width; None if there are none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    mean = sum(known) / len(known)
    shown = [None if value is None else round(value, 6) for value in values]
    freedom = len(known) - 1
    if not freedom:
        return Figure(round(mean, 6), None, shown)
    deviation = sqrt(sum((value - mean) ** 2 for value in known) / freedom)
    quantile = _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else _NORMAL
    half_width = quantile * deviation / sqrt(len(known))
    return Figure(round(mean, 6), round(half_width, 6), shown)
