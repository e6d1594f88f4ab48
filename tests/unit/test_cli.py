"""The command line: quick help, one line for each failure, codes that scripts can rely on."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest

from buyer_agents import BadAnswer, MarketUnreachable, NotAMarket, Refused
from market.base.errors import MarketError, every_refusal
from market.cli.failures import Explained, Failure, explain, reported
from market.cli.keyfile import Identity, load, replace
from market.cli.lazy import Lazy, LazyGroup
from market.cli.lazy import load as load_command
from market.cli.options import minor_of
from market.cli.output import hint
from market.cli.tree import ROOT
from market.protocol.manifest import load_manifest
from market.protocol.signing import BadKey, SigningKey
from market.protocol.wire import Problem
from scenarios.engine import BadScenario, Trouble
from tests.shell import Market

ROOT_FOLDER = Path(__file__).parents[2]
A_SESSION = "ses_01h455vb4pex5vsknk084sn02q"
STORY = ROOT_FOLDER / "scenarios" / "poor_wallet.toml"


def commands(group: LazyGroup = ROOT, path: str = "") -> dict[str, Lazy]:
    found: dict[str, Lazy] = {}
    for name, known in group.tree.items():
        if isinstance(known, LazyGroup):
            found |= commands(known, f"{path}{name} ")
        else:
            found[f"{path}{name}"] = known
    return found


def test_help_names_every_command_without_loading_one(market: Market) -> None:
    said = market("--help")

    assert said.exit_code == 0
    for name in ("run", "check", "serve", "watch", "session", "seller", "wallet", "verify"):
        assert f"│ {name} " in said.out


def test_help_loads_nothing_heavy() -> None:
    heavy = "{'litestar', 'polars', 'sqlalchemy', 'httpx', 'cryptography', 'jsonschema_rs'}"
    code = f"import market.cli, sys; print({heavy} & set(sys.modules))"

    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT_FOLDER
    )

    assert told.stdout.strip() == b"set()"


@pytest.mark.parametrize("path", sorted(commands()))
def test_every_command_loads_and_says_what_it_does(path: str) -> None:
    known = commands()[path]

    command = load_command(known.place)

    assert isinstance(command, click.Command)
    assert command.help
    assert known.summary.endswith(".")


def test_a_typing_mistake_is_one_line(market: Market) -> None:
    said = market("run", "x.toml", "--matrx", "1")

    assert (said.out, said.exit_code) == ("", 2)
    assert (
        said.err
        == "market: No such option '--matrx'. Did you mean '--matrix'? (market run --help)\n"
    )


def test_a_typing_mistake_is_json_for_machines(market: Market) -> None:
    said = market("sesion", "--json")

    assert said.exit_code == 2
    error = json.loads(said.err)["error"]
    assert list(error) == ["code", "title", "detail", "hint", "where"]
    assert error["code"] == "usage"


@pytest.mark.parametrize(
    ("typed", "called"),
    [
        (".venv/bin/market", ".venv/bin/market"),
        ("my env/market", "'my env/market'"),
        ("-c", "market"),
    ],
)
def test_a_hint_names_the_program_as_it_was_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, called: str
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", [typed])

    hint("market wallet show")

    assert capsys.readouterr().err == f"Next: {called} wallet show\n"


def test_a_program_that_the_shell_finds_is_called_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "market").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", [str(tmp_path / "market")])

    hint("market wallet show")

    assert capsys.readouterr().err == "Next: market wallet show\n"


def test_a_hint_quotes_paths_and_carries_options_on(market: Market) -> None:
    said = market("identity", "new", "my own.key", "--url", "http://127.0.0.1:9")

    assert said.err == (
        "Next: market identity new 'my own.key' --handle NAME --kind buyer"
        " --url http://127.0.0.1:9\n"
    )


def test_an_impossible_handle_makes_no_key(market: Market) -> None:
    said = market("identity", "new", "me.key", "--handle", "Bob Smith")

    assert (said.out, said.exit_code) == ("", 2)
    assert "lower case letters and digits" in said.err
    assert not Path("me.key").exists()


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://"])
def test_an_address_is_checked_before_it_is_called(market: Market, url: str) -> None:
    said = market("wallet", "show", "--url", url)

    assert (said.out, said.exit_code) == ("", 2)
    assert f"{url!r} is not an http(s):// address" in said.err


def test_a_file_that_is_away_is_said_to_be(market: Market) -> None:
    said = market("wallet", "show", "--key", "no.key")

    assert (said.err, said.exit_code) == ("market: the file no.key does not exist\n", 2)


def test_a_manifest_that_is_away_is_said_to_be(market: Market) -> None:
    said = market("seller", "register", "nowhere")

    assert said.err == "market: the file nowhere/manifest.toml does not exist\n"


def test_a_seller_without_a_market_does_not_say_that_it_serves(market: Market) -> None:
    market("seller", "new", "counter")

    said = market("seller", "serve", "counter", "--url", "http://127.0.0.1:9")

    assert (said.out, said.exit_code) == ("", 4)
    assert said.err == (
        "market: the market at http://127.0.0.1:9 cannot be reached"
        " (is it running? start one with: market serve)\n"
    )


def test_a_reader_that_goes_away_ends_a_command_quietly() -> None:
    ours, theirs = os.pipe()
    os.close(ours)

    ended = subprocess.run(
        [sys.executable, "-c", "from market.cli import main; main()", "check", str(STORY)],
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=False,
        cwd=ROOT_FOLDER,
    )
    os.close(theirs)

    assert (ended.returncode, ended.stderr) == (141, b"")


def test_patterns_stay_out_of_messages() -> None:
    detail = r"Expected `str` matching regex '^[a-z]{2}\Z' - at `$.handle`"

    explained = explain(MarketError(detail))

    assert explained is not None
    assert explained.reports[0].detail == "handle is not of its form"


def test_a_plan_is_printed_for_people(market: Market) -> None:
    said = market("check", str(STORY))

    assert said.exit_code == 0
    lines = said.out.splitlines()
    assert lines[0] == (
        "✓ poor-wallet   seed 3   Too little money places no order; exactly enough does."
    )
    assert lines[1].split() == ["what", "who", "how"]
    assert lines[2].split(maxsplit=2) == ["seller", "careful-reader", "sells key-sentences"]
    assert said.err == f"Next: market run {STORY}\n"


def test_every_mistake_of_a_scenario_is_a_line_with_its_place(market: Market) -> None:
    wrong = Path("wrong.toml")
    text = STORY.read_text().replace('service = "key-sentences"', 'service = "x"')
    wrong.write_text(text.replace("orders.placed ==", "orders.place =="))

    said = market("check", str(wrong))

    assert (said.out, said.exit_code) == ("", 2)
    assert said.err.startswith("market: wrong.toml:12: no sample service is called 'x'")
    assert "orders.placed" in said.err.splitlines()[-1]


def test_mistakes_of_a_scenario_are_one_json_object_for_machines(market: Market) -> None:
    Path("wrong.toml").write_text("scenario = 1\nnam = 'x'\n")

    said = market("check", "wrong.toml", "--json")

    error = json.loads(said.err)["error"]
    assert error["code"] == "bad_scenario"
    assert error["where"] == "wrong.toml:2"
    assert error["hint"] == "did you mean 'name'?"


def test_all_metrics_are_listed(market: Market) -> None:
    said = market("check", "--metrics", "--json")

    assert "conversion(seller='name')" in json.loads(said.out)


@pytest.mark.parametrize("name", ["scenario", "manifest", "event", "probe"])
def test_schemas_are_for_every_editor(market: Market, name: str) -> None:
    said = market("schema", name)

    tree = json.loads(said.out)
    assert tree["$schema"].endswith("2020-12/schema")
    assert r"\\Z" not in said.out
    assert market("schema", name, "--write", "it.json").exit_code == 0
    assert json.loads(Path("it.json").read_text()) == tree


def test_a_new_seller_can_be_published_and_names_its_files(market: Market) -> None:
    said = market("seller", "new", "My_Seller")

    assert said.exit_code == 0
    assert load_manifest(Path("My_Seller/manifest.toml")).id == "my-seller"
    assert load(Path("My_Seller/my-seller.key")).agent_id in said.out
    compile(Path("My_Seller/seller.py").read_text(), "seller.py", "exec")
    assert market("seller", "new", "My_Seller").exit_code == 2


def test_a_seller_without_a_name_is_refused(market: Market) -> None:
    said = market("seller", "new", "-Ä-")

    assert said.exit_code == 2
    assert not Path("-Ä-").exists()


def test_a_key_is_made_once_and_never_overwritten(market: Market) -> None:
    made = market("identity", "new", "me.key")

    identity = load(Path("me.key"))
    assert identity.agent_id in made.out
    assert Path("me.key").stat().st_mode & 0o777 == 0o600
    assert market("identity", "new", "me.key").exit_code == 2
    assert load(Path("me.key")) == identity or load(Path("me.key")).agent_id == identity.agent_id


def test_an_identity_is_shown_without_a_market(market: Market) -> None:
    market("identity", "new", "me.key")

    said = market("identity", "show", "--offline", "--key", "me.key", "--json")

    assert json.loads(said.out)["agent_id"] == load(Path("me.key")).agent_id


def test_a_later_key_keeps_the_agents_id(tmp_path: Path) -> None:
    path = tmp_path / "me.key"
    first, second = SigningKey.generate(), SigningKey.generate()
    first.save(path)

    replace(path, Identity(second, first.kid))

    found = load(path)
    assert (found.key.kid, found.agent_id) == (second.kid, first.kid)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["me.key"]


def test_who_acts_must_be_said(market: Market) -> None:
    said = market("wallet", "show")

    assert said.exit_code == 2
    assert said.err.startswith("market: no key was given (--key FILE or MARKET_KEY;")


@pytest.mark.parametrize(
    "args",
    [
        ("session", "show"), ("session", "events"), ("session", "pause"), ("watch",),
        ("audit", "log"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_is_no_session_id_is_a_usage_error(market: Market, args: tuple[str, ...]) -> None:
    said = market(*args, "rubbish")

    assert said.exit_code == 2
    assert "'rubbish' is no session id; see market session list" in said.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("order", "show", "rubbish"), "no order id; see market session events"),
        (("dispute", "show", "rubbish"), "no dispute id; see market dispute list"),
        (("dispute", "list", "--order", "rubbish"), "no order id; see market session events"),
        (("mandate", "revoke", "rubbish"), "no mandate id; see market mandate list"),
        (
            ("identity", "new", "x.key", "--handle", "x1", "--principal", "firm"),
            "no agent id; see market identity show --key FILE",
        ),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_what_is_no_id_is_a_usage_error(market: Market, args: tuple[str, ...], said: str) -> None:
    ended = market(*args)

    assert ended.exit_code == 2
    assert said in ended.err
    assert not Path("x.key").exists()


def test_who_may_not_is_told_to_name_another_key() -> None:
    explained = explain(refused(403, "insufficient_scope"))

    assert explained is not None
    assert "--key FILE" in str(explained.reports[0])


@pytest.mark.parametrize(
    "args", [("seller", "bond", "post", "0"), ("wallet", "fund", "walker", "0.00")], ids=" ".join
)
def test_nothing_is_no_amount_to_move(market: Market, args: tuple[str, ...]) -> None:
    said = market(*args)

    assert (said.exit_code, said.err) == (2, "market: the amount must be above zero\n")


def test_an_amount_is_named_by_its_option() -> None:
    with pytest.raises(Failure, match="--amount: the amount must be above zero"):
        minor_of("0", "XTS", named="--amount")
    with pytest.raises(Failure, match="--budget: 'x' is not a decimal amount such as"):
        minor_of("x", "XTS", named="--budget")
    assert minor_of("0", "XTS", may_be_zero=True) == 0


def test_the_scope_of_a_run_is_asked_for_by_its_name(market: Market) -> None:
    said = market("session", "pause", A_SESSION, "--scope", "run")

    assert said.exit_code == 2
    assert "name the run: --run NAME" in said.err


def test_an_overseer_does_not_delegate(market: Market) -> None:
    market("identity", "new", "sub.key")
    market("identity", "new", ".market/overseer.key")

    for args in ((), ("--key", ".market/overseer.key")):
        said = market("session", "delegate", A_SESSION, "sub.key", *args)

        assert (said.exit_code, said.out) == (2, "")
        assert said.err == (
            "market: an overseer cannot delegate: give --key of the buyer, seller or principal\n"
        )


def test_a_market_that_is_away_ends_with_4(market: Market) -> None:
    market("identity", "new", "me.key")

    said = market("wallet", "show", "--key", "me.key", "--url", "http://127.0.0.1:9")

    assert said.exit_code == 4
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.endswith("(is it running? start one with: market serve)\n")


def test_what_cannot_be_undone_needs_a_yes(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    market("identity", "new", "me.key")

    said = market("session", "cancel", A_SESSION, "--key", "me.key")

    assert said.exit_code == 2
    assert "--yes" in said.err


def test_there_is_nothing_to_audit_where_no_store_is(market: Market) -> None:
    said = market("audit", "nowhere")

    assert (said.out, said.exit_code) == ("", 2)
    assert said.err.startswith("market: there is no store in nowhere")


def test_a_store_from_before_its_tables_is_to_be_brought_up_to_date(
    market: Market, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "market.db")) as connection:
        connection.execute("CREATE TABLE sessions (id)")

    for args in (("audit", "."), ("audit", "log", A_SESSION, "--store", ".")):
        said = market(*args)

        assert said.exit_code == 2
        assert "older than this program" in said.err
        assert "market migrate" in said.err


def test_without_a_run_there_is_nothing_to_ask_why(market: Market) -> None:
    said = market("why", "--seller", "acme")

    assert said.exit_code == 2
    assert "market run SCENARIO" in said.err


def refused(status: int, code: str) -> Refused:
    problem = Problem(type=f"/problems/{code}", title="No", status=status, detail="Not so.")
    return Refused(problem, {})


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (refused(401, "invalid_client"), 3),
        (refused(403, "insufficient_scope"), 3),
        (refused(402, "mandate_exceeded"), 3),
        (refused(402, "insufficient_funds"), 6),
        (refused(404, "session_not_found"), 2),
        (refused(409, "wrong_order_state"), 6),
        (refused(410, "quote_expired"), 6),
        (refused(422, "invalid_body"), 2),
        (refused(503, "overloaded"), 4),
        (MarketUnreachable("away"), 4),
        (BadAnswer("nonsense"), 5),
        (NotAMarket("no metadata"), 4),
        (BadKey("no key"), 3),
        (BadScenario(Trouble("x.toml:1", "wrong")), 2),
        (FileNotFoundError(2, "No such file", "x"), 2),
        (Failure("no"), 2),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_failure_has_the_exit_code_of_its_kind(error: Exception, exit_code: int) -> None:
    load_command("market.cli.check:check")

    explained = explain(error)

    assert isinstance(explained, Explained)
    assert explained.exit_code == exit_code


@pytest.mark.parametrize("kind", sorted(every_refusal(), key=lambda kind: kind.code))
def test_every_refusal_is_explained(kind: type[MarketError]) -> None:
    explained = explain(kind("Not so."))

    assert explained is not None
    assert 2 <= explained.exit_code <= 6


def test_one_failure_in_a_group_is_told_as_itself(capsys: pytest.CaptureFixture[str]) -> None:
    @reported
    def command() -> None:
        raise ExceptionGroup("tasks", [ExceptionGroup("inner", [Failure("just this")])])

    with pytest.raises(SystemExit):
        command()

    assert capsys.readouterr().err == "market: just this\n"


def test_a_bug_keeps_its_traceback() -> None:
    @reported
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command()


def test_an_interrupt_ends_with_130() -> None:
    @reported
    def command() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        command()

    assert caught.value.code == 130


def test_the_schema_beside_the_stories_is_up_to_date(market: Market) -> None:
    beside = ROOT_FOLDER / "scenarios" / "scenario.schema.json"

    said = market("schema", "scenario")

    assert json.loads(beside.read_text()) == json.loads(said.out), (
        "write it anew: market schema scenario --write scenarios/scenario.schema.json"
    )
