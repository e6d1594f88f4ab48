"""``market session pause|resume|steer|cancel|approve|deny``: a human's hand in a live session."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import rich_click as click

from buyer_agents import MarketClient
from market.cli.failures import WRONG_STATE, Failure, reported
from market.cli.options import (
    SESSION_ID,
    client_options,
    confirm,
    reason_option,
    with_client,
    yes_option,
)
from market.cli.output import CLIENT, emit, hint, say
from market.protocol.events import Action, Scope
from market.protocol.wire import ControlView


class _ScopeChoice(click.Choice[str]):
    """The scopes that need no name; of a run it is said how to name one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value == "run":
            self.fail("name the run: --run NAME", param, ctx)
        return super().convert(value, param, ctx)


_UNHEARD: Final = ("too_late", "refused")
_OPTIONS: Final[list[Callable[[Any], Any]]] = [
    click.argument("session_id", metavar="SESSION", type=SESSION_ID),
    click.option("--order", "order_id", help="Which order; needed if there are several."),
    click.option(
        "--scope",
        type=_ScopeChoice(["order", "own", "all"]),
        default="order",
        show_default=True,
        help="One order, all open ones of yours, or all there are.",
    ),
    click.option("--run", help="A run instead: a sub-agent's work, by its name in the log."),
    reason_option,
    client_options,
]


def _command(action: Action, summary: str, *extra: Callable[[Any], Any]) -> click.Command:
    """Make the command for an intervention; with ``yes_option`` it asks before it acts."""

    def act(
        session_id: str,
        order_id: str | None,
        scope: Scope,
        run: str | None,
        reason: str,
        url: str,
        key_file: Path | None,
        as_json: bool,
        text: str = "",
        yes: bool = True,
    ) -> None:
        confirm(f"Really {action} in {session_id}?", is_sure=yes)

        async def send(market: MarketClient) -> list[ControlView]:
            return await market.control(
                session_id,
                action,
                order_id=order_id,
                scope=scope,
                run=run,
                reason=reason,
                text=text,
            )

        _report(with_client(url, key_file, send), action, session_id, as_json=as_json)

    act.__doc__ = summary
    command: Any = reported(act)
    for decorate in reversed([*_OPTIONS, *extra]):
        command = decorate(command)
    made: click.Command = click.command(name=action)(command)
    return made


def _report(views: list[ControlView], action: Action, session_id: str, *, as_json: bool) -> None:
    """Print what came of it; exit with "not allowed in this state" if it was all too late."""
    if as_json:
        emit(views)
    for view in views:
        if not as_json:
            mark = "✗" if view.answer in _UNHEARD else "✓"
            said = view.answer or "asked; the worker answers in the log"
            target = view.run or view.order_id or session_id
            say(f"{mark} {action} {target}: {said}. {view.detail}".rstrip())
    if not views or all(view.answer in _UNHEARD for view in views):
        detail = "; ".join(view.detail for view in views) or "the session has no open order"
        raise Failure(
            detail,
            code="too_late",
            title="The intervention came too late",
            exit_code=WRONG_STATE,
        )
    if not as_json:
        follow = "session resume" if action == "pause" else "watch"
        hint(f"market {follow} {session_id}", carry=CLIENT)


pause: Final = _command("pause", "Hold the delivery in SESSION: nothing comes until resumed.")
resume: Final = _command("resume", "Let the paused delivery in SESSION go on.")
cancel: Final = _command(
    "cancel",
    "Cancel the order in SESSION: what was delivered is paid, the rest returns.",
    yes_option,
)
approve: Final = _command("approve", "Let the order in SESSION that waits for approval be placed.")
deny: Final = _command("deny", "Refuse the order in SESSION that waits for approval.", yes_option)
steer: Final = _command(
    "steer",
    "Say TEXT to the seller at work in SESSION.",
    click.argument("text"),
)
