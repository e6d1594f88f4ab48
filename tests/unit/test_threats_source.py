"""What must not be in the source, in the locks, or in what the market writes."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SHIPPED = ("market", "buyer_agents", "seller_services", "scenarios", "migrations")
SOURCES = sorted(path for name in SHIPPED for path in (PROJECT / name).rglob("*.py"))

READERS_THAT_RUN_WHAT_THEY_READ = {
    "pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "jinja2",
    "mako", "code", "codeop", "xml", "zipfile", "tarfile", "csv",
}  # fmt: skip
CALLS_THAT_RUN_TEXT = {"eval", "exec", "compile", "__import__"}
METHODS_THAT_RUN_TEXT = {
    "sql_expr", "SQLContext", "deserialize", "system", "popen", "literal_eval", "format_map",
    "write_csv", "sink_csv", "read_csv", "scan_csv",
}  # fmt: skip
KNOWN = {
    # An operation's own address, written in its decorator.
    "market/faces/http/binding.py:format_map",
    # A polars method of the same name: it takes expressions that the code builds, no text.
    "market/analytics/lost_sales.py:eval",
    "market/analytics/owners.py:eval",
    "market/analytics/deciding.py:eval",
    # A picture that the program's own renderer drew, on its way through a list of known elements.
    "market/report/svg.py:xml",
    # Sample services: a buyer's CSV, and a table beside the program, are read; none is written.
    "seller_services/samples/profile_csv.py:csv",
    "seller_services/samples/profile_csv.py:read_csv",
    "seller_services/samples/convert_units.py:csv",
    # The statement's text is this module's own; the other is SQLAlchemy's, not Python's.
    "market/base/sql.py:compile",
    "market/analytics/statements.py:compile",
}
TEMPLATES = {
    "market/orders/explaining.py": "its own sentences, by reason",
    "market/report/moneys.py": "its own sentences, by where money went",
}
NAMED_BY_FILES = {
    "market/cli/lazy.py": "the commands of its own tree",
    "market/report/extra.py": "its own two modules that draw, where the extra is installed",
    "buyer_agents/making.py": "a policy or a behaviour, named by who runs the agent",
    "scenarios/engine/services.py": "a service, named by who runs the scenario",
}
"""Where modules are loaded by a name, and whose name it is. A request names none."""


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """Every import, call and attribute in what is shipped, with its file."""
    looked_at = (ast.Import, ast.ImportFrom, ast.Call, ast.Attribute)
    return [
        (name_of(path), node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, looked_at)
    ]


def test_nothing_reads_a_format_that_runs_what_it_holds():
    """X1, X2, C6: no pickle, marshal, YAML, template language, archive, XML; no CSV is written."""
    found = set()
    for path, node in nodes():
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        roots = {name.partition(".")[0] for name in names}
        found |= {f"{path}:{root}" for root in roots & READERS_THAT_RUN_WHAT_THEY_READ}

    assert found <= KNOWN


def test_no_text_is_run_as_code():
    """X1: neither eval, exec and compile, nor a shell, nor polars' expressions from text."""
    found = set()
    for path, node in nodes():
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in CALLS_THAT_RUN_TEXT:
            found.add(f"{path}:{node.func.id}")
        if isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            method = node.func.attr
            is_text = method in METHODS_THAT_RUN_TEXT or method in CALLS_THAT_RUN_TEXT
            if is_text and (owner, method) != ("re", "compile"):
                found.add(f"{path}:{method}")
            if any(word.arg == "shell" for word in node.keywords):
                found.add(f"{path}:shell")

    assert found <= KNOWN


def test_templates_are_the_programs_own():
    """X1: ``format`` is called on words that stand in the source, never on somebody's text."""
    found = {
        path
        for path, node in nodes()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "format"
        and not isinstance(node.func.value, ast.Constant)
        and not (isinstance(node.func.value, ast.Attribute) and node.func.value.attr == "json")
    }

    assert found <= TEMPLATES.keys()


def test_modules_are_loaded_by_names_of_those_who_run_the_program():
    """X1: a scenario or a policy may name a module; a request, a manifest or an event may not."""
    found = {
        path
        for path, node in nodes()
        if isinstance(node, ast.Attribute) and node.attr == "import_module"
    }

    assert found == NAMED_BY_FILES.keys()


def test_the_linter_looks_for_it_too():
    """X1: ruff's rules of security are on for all that is shipped."""
    settings = (PROJECT / "pyproject.toml").read_text("utf-8")
    [select] = re.findall(r"^select = \[(.*?)\]", settings, re.DOTALL | re.MULTILINE)

    assert '"S"' in select
    ignores = re.findall(r'^"(.*?)" = \[(.*?)\]', settings, re.MULTILINE)
    shipped = {where: rules for where, rules in ignores if where.split("/")[0] in SHIPPED}
    loosened = set(re.findall(r'"(S[0-9]*)"', " ".join(shipped.values())))
    assert loosened <= {"S311", "S608"}, "seeded chance, and migrations' own names"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_dependency_is_pinned_to_its_bytes(lock: str):
    """X3: one version each, with its hashes; installed with --require-hashes; no other address."""
    text = (PROJECT / lock).read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]

    assert lines
    for line in lines:
        assert re.match(r"^[a-z0-9._-]+(\[[a-z,]+\])?==[^ ]+( ;.*)? \\$", line), line
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|git\+|--index|--find-links", re.sub(r"#.*", "", text))


def test_installing_asks_for_those_bytes():
    """X3: also in the environment of a fresh clone, which is that of CI."""
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    installs = [line for line in makefile.splitlines() if line.startswith("\t@$(INSTALL)")]

    assert installs
    for line in installs:
        assert "--require-hashes" in line or "--no-deps --no-build-isolation" in line
