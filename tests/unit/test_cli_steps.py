"""What ``market order explain`` tells a person to type."""

import re
from pathlib import Path

import click
import pytest

from market.cli.lazy import LazyGroup
from market.cli.order import command_for
from market.cli.tree import ROOT
from market.protocol.wire import StepView

SESSION, ORDER, DISPUTE = (
    f"{prefix}_01h455vb4pex5vsknk084sn02q" for prefix in ("ses", "ord", "dsp")
)
PROSPECTS = Path(__file__).parents[2] / "market" / "orders" / "prospects.py"
REQUESTS = {
    "approve": f"POST /v1/sessions/{SESSION}/control",
    "cancel": f"POST /v1/sessions/{SESSION}/control",
    "refund": f"POST /v1/orders/{ORDER}/refund",
    "redo": f"POST /v1/orders/{ORDER}/support",
    "dispute": f"POST /v1/orders/{ORDER}/disputes",
    "withdraw": f"POST /v1/disputes/{DISPUTE}/withdraw",
    "answer": f"POST /v1/disputes/{DISPUTE}/answer",
    "resolve": f"POST /v1/disputes/{DISPUTE}/resolve",
}
IN_PROGRAMS = {"accept", "deliver", "fail"}


def command(action: str, request: str) -> str:
    step = StepView(who="buyer", action=action, until=None, request=request, sentence="It is so.")
    return command_for(step, ORDER)


@pytest.mark.parametrize("action", REQUESTS)
def test_a_step_is_told_as_a_command_that_can_be_typed(action: str):
    typed = command(action, REQUESTS[action]).replace("(--concede or --contest)", "--contest")
    name, *words = typed.split()
    found: click.Command | None = ROOT
    while isinstance(found, LazyGroup):
        _, found, words = found.resolve_command(click.Context(found), words)

    assert name == "market"
    assert found is not None
    found.make_context(typed, words)


def test_what_programs_do_is_said_to_be_done_there():
    for action in IN_PROGRAMS:
        assert command(action, f"POST /v1/orders/{ORDER}/{action}") == "in its program"


def test_no_step_is_forgotten():
    named = re.findall(r'_step\(\s*"\w+",\s*"(\w+)"', PROSPECTS.read_text("utf-8"))

    assert set(named) == {*REQUESTS, *IN_PROGRAMS}
