"""A sweep that is broken off anywhere, as often as may be, plays each of its runs once."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.engine import Scenario
from scenarios.engine.form import BuyerPart, NeedPart
from scenarios.engine.sweeping import Axis, Options, State, Sweep, combinations, plan

STORY = Scenario(
    scenario=1,
    name="tiny",
    buyers=[BuyerPart(name="walker", need=NeedPart(query="convert units", input={}))],
)
AXES = st.lists(st.integers(1, 3), max_size=3).map(
    lambda sizes: tuple(
        Axis(path=f"path{number}", values=tuple(map(str, range(size))))
        for number, size in enumerate(sizes)
    )
)
ENDS: st.SearchStrategy[State] = st.sampled_from(["done", "bad"])
BREAKS: st.SearchStrategy[State] = st.sampled_from(["planned", "playing", "interrupted", "died"])


def sweep_of(axes: tuple[Axis, ...], replicas: int) -> Sweep:
    options = Options(matrix=axes, replicas=replicas)
    return plan([STORY] * len(combinations(options)), options)


@settings(max_examples=100, deadline=None)
@given(AXES, st.integers(1, 4), st.data())
def test_every_run_is_played_to_its_end_once(
    axes: tuple[Axis, ...], replicas: int, data: st.DataObject
) -> None:
    sweep = sweep_of(axes, replicas)
    everything = {one.folder for _, one in sweep.runs()}
    kept: dict[str, tuple[State, str]] = {}
    ended: Counter[str] = Counter()
    for _ in range(data.draw(st.integers(1, 4), label="times it is resumed")):
        left = sweep.found(kept).left()
        for _, one in left[: data.draw(st.integers(0, len(left)), label="runs that end")]:
            kept[one.folder] = (data.draw(ENDS), "")
            ended[one.folder] += 1
            # What was noted of it may not have reached the disk.
            if data.draw(st.booleans(), label="noted"):
                sweep = sweep.moved(one.folder, "done")
        for _, one in sweep.found(kept).left():
            sweep = sweep.moved(one.folder, data.draw(BREAKS))

    for _, one in sweep.found(kept).left():
        ended[one.folder] += 1

    assert ended == Counter(everything)


@given(AXES, st.integers(1, 4))
def test_a_plan_is_the_same_every_time_and_its_runs_differ(
    axes: tuple[Axis, ...], replicas: int
) -> None:
    sweep = sweep_of(axes, replicas)

    assert sweep == sweep_of(axes, replicas)
    played = [(tuple(cell.overrides.items()), one.seed) for cell, one in sweep.runs()]
    assert len(set(played)) == len(played)
    assert sweep.moved(sweep.runs()[-1][1].folder, "died", "why").anew() == sweep
