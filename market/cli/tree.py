"""Every command by name: where it is, and what it does. Nothing here loads the market."""

import json
import sys
import traceback
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

import click
import rich_click

from market.cli.lazy import Lazy, LazyGroup

INTERRUPTED: Final = 130
INTERNAL: Final = 70
"""A bug of ours; ``sysexits.h`` calls it EX_SOFTWARE."""

_HELP: Final = rich_click.RichHelpConfiguration(
    style_options_panel_border="dim", style_commands_panel_border="dim", max_width=100
)


def _group(
    name: str, summary: str, tree: Mapping[str, Lazy | LazyGroup], *, default: str | None = None
) -> LazyGroup:
    settings = {"rich_help_config": _HELP, "help_option_names": ["-h", "--help"]}
    return LazyGroup(name, help=summary, tree=tree, default=default, context_settings=settings)


SESSION: Final = _group(
    "session",
    "Look into live sessions, and intervene.",
    {
        "list": Lazy("market.cli.session:list_sessions", "List sessions, newest first."),
        "show": Lazy("market.cli.session:show", "Show where a session stands."),
        "events": Lazy("market.cli.session:events", "Print a session's log."),
        "presence": Lazy("market.cli.session:presence", "Show who is in a session now."),
        "snapshot": Lazy("market.cli.snapshots:snapshot", "Show what a log comes to."),
        "fork": Lazy("market.cli.snapshots:fork", "Replay a session from an offset."),
        "pause": Lazy("market.cli.control:pause", "Hold a delivery until it is resumed."),
        "resume": Lazy("market.cli.control:resume", "Let a paused delivery go on."),
        "steer": Lazy("market.cli.control:steer", "Say something to the seller at work."),
        "cancel": Lazy("market.cli.control:cancel", "Cancel an order; what came is paid."),
        "approve": Lazy("market.cli.control:approve", "Let an order that waits be placed."),
        "deny": Lazy("market.cli.control:deny", "Refuse an order that waits for approval."),
        "delegate": Lazy("market.cli.delegate:delegate", "Let a sub-agent's key work in it."),
        "revoke": Lazy("market.cli.delegate:revoke", "Take a delegation back."),
        "audit": Lazy("market.cli.probe:audit", "Tell whether a stream is a durable session."),
    },
)
BOND: Final = _group(
    "bond",
    "Put money at stake, and take it back.",
    {
        "show": Lazy("market.cli.bond:show", "Show the bond, and how large an order may be."),
        "post": Lazy("market.cli.bond:post", "Move money from the wallet into the bond."),
        "release": Lazy("market.cli.bond:release", "Move it back, when no order needs it."),
    },
)
SELLER: Final = _group(
    "seller",
    "Make a seller, list its service, serve it.",
    {
        "new": Lazy("market.cli.seller:new", "Write a runnable seller to a folder."),
        "register": Lazy("market.cli.seller:register", "List a service at the market."),
        "serve": Lazy("market.cli.seller:serve", "Follow the inbox and work on orders."),
        "bond": BOND,
    },
)
WALLET: Final = _group(
    "wallet",
    "Look at money, and hand out sandbox money.",
    {
        "show": Lazy("market.cli.wallet:show", "Show what an agent can spend, and what is held."),
        "fund": Lazy("market.cli.wallet:fund", "Give an agent sandbox money (overseers)."),
        "ledger": Lazy("market.cli.wallet:ledger", "List every change of a wallet."),
    },
)
MANDATE: Final = _group(
    "mandate",
    "Let buyers spend for you, within limits.",
    {
        "give": Lazy("market.cli.mandate:give", "Let a buyer spend within limits."),
        "list": Lazy("market.cli.mandate:list_mandates", "List mandates, newest first."),
        "show": Lazy("market.cli.mandate:show", "Show what one allows, and what was spent."),
        "waiting": Lazy("market.cli.approvals:waiting", "List orders that wait for approval."),
        "revoke": Lazy("market.cli.mandate:revoke", "End one; what is held stays held."),
    },
)
ORDER: Final = _group(
    "order",
    "Look into orders: told, refunded, redone, disputed.",
    {
        "show": Lazy("market.cli.order:show", "Show where an order stands, and its receipts."),
        "explain": Lazy("market.cli.order:explain", "Tell what became of an order, and why."),
        "refund": Lazy("market.cli.order:refund", "Give a payment back, or ask for it."),
        "redo": Lazy("market.cli.order:redo", "Have an order delivered again."),
        "dispute": Lazy("market.cli.order:dispute", "Dispute a delivery, with evidence."),
    },
)
DISPUTE: Final = _group(
    "dispute",
    "Answer and decide disputes.",
    {
        "list": Lazy("market.cli.dispute:list_disputes", "List disputes, newest first."),
        "show": Lazy("market.cli.dispute:show", "Show where a dispute stands."),
        "answer": Lazy("market.cli.dispute:answer", "Concede or contest, as the seller."),
        "withdraw": Lazy("market.cli.dispute:withdraw", "Take a dispute back, as the buyer."),
        "resolve": Lazy("market.cli.dispute:resolve", "Decide a dispute, as an overseer."),
    },
)
IDENTITY: Final = _group(
    "identity",
    "Make, show and change keys.",
    {
        "new": Lazy("market.cli.identity:new", "Make a key; with a handle, register it."),
        "show": Lazy("market.cli.identity:show", "Show an agent and its keys."),
        "token": Lazy("market.cli.identity:token", "Print an access token, for other clients."),
        "rotate": Lazy("market.cli.identity:rotate", "Replace the key, and revoke the old one."),
        "revoke": Lazy("market.cli.identity:revoke", "Revoke a key."),
    },
)
AUDIT: Final = _group(
    "audit",
    "Prove a store, or one session's log.",
    {
        "store": Lazy(
            "market.cli.audit:audit", "Prove ledger, logs and holds (or: market audit STORE)."
        ),
        "log": Lazy("market.cli.auditlog:audit_log", "Find what was altered in a session's log."),
    },
    default="store",
)
TRUST: Final = _group(
    "trust",
    "Look into scores, and put their rule to the test.",
    {
        "show": Lazy("market.cli.trust:show", "Explain a seller's score in plain words."),
        "recompute": Lazy(
            "market.cli.recompute:recompute", "Reckon every score anew, and compare."
        ),
        "anchors": Lazy("market.cli.trust:anchors", "List the buyers whose word is taken."),
        "propose": Lazy("market.cli.trust:propose", "Propose an anchor (overseers)."),
        "confirm": Lazy("market.cli.trust:confirm", "Confirm another overseer's proposal."),
        "revoke": Lazy("market.cli.trust:revoke", "Take an anchor away, at once (overseers)."),
        "rings": Lazy("market.cli.trust:rings", "List groups that look closed (overseers)."),
        "batch": Lazy("market.cli.trust:batch", "Weigh all facts anew now (overseers)."),
        "lab": Lazy("market.cli.lab:lab", "Attack simulated markets; compare trust rules."),
    },
)
RUNS: Final = _group(
    "runs",
    "List what was played, and compare it.",
    {
        "list": Lazy("market.cli.runs:list_runs", "List runs and sweeps, newest first."),
        "diff": Lazy("market.cli.runs:diff", "Tell how two runs, or settings, differ."),
    },
)
ROOT: Final = _group(
    "market",
    "A marketplace sandbox whose customers are agents.\n\n"
    "Try: market run scenarios/first_purchase.toml",
    {
        "run": Lazy("market.cli.run:run", "Play a scenario on a real market, and judge it."),
        "check": Lazy("market.cli.check:check", "Check scenarios and print their plans."),
        "serve": Lazy("market.cli.serve:serve", "Open a market on this machine."),
        "watch": Lazy("market.cli.watch:watch", "Follow sessions live."),
        "session": SESSION,
        "seller": SELLER,
        "order": ORDER,
        "dispute": DISPUTE,
        "wallet": WALLET,
        "mandate": MANDATE,
        "identity": IDENTITY,
        "why": Lazy("market.cli.why:why", "Tell why a seller's buyers bought, or did not."),
        "report": Lazy("market.cli.reporting:report", "Write what happened in a run on one page."),
        "runs": RUNS,
        "export": Lazy("market.cli.export:export", "Write a run's facts as Parquet."),
        "audit": AUDIT,
        "trust": TRUST,
        "verify": Lazy("market.cli.verify:verify", "Check signatures, offline."),
        "migrate": Lazy("market.cli.migrate:migrate", "Bring a store's tables up to date."),
        "schema": Lazy("market.cli.schema:schema", "Print a JSON Schema for editors."),
    },
)
click.version_option(version("agent-market"), prog_name="market")(ROOT)


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    try:
        sys.exit(ROOT.main(prog_name="market", standalone_mode=False))
    except click.ClickException as error:
        _say(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(INTERRUPTED)
    except (Exception, BaseExceptionGroup) as error:
        # The edge of the process: what no command could explain is a bug of ours.
        traceback.print_exception(error)
        click.echo("market: this is a bug of this program, and no answer", err=True)
        sys.exit(INTERNAL)


def _say(error: click.ClickException, *, as_json: bool) -> None:
    """Write a usage error in the form of all failures: one line."""
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"{ctx.command_path} --help" if ctx else ""
    detail = error.format_message()
    if as_json:
        title = "The command is not of its form"
        report = {"code": "usage", "title": title, "detail": detail, "hint": hint, "where": ""}
        click.echo(json.dumps({"error": report}), err=True)
    else:
        click.echo(f"market: {detail}" + (f" ({hint})" if hint else ""), err=True)
