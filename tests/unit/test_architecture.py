"""House rules that no other tool checks, read from the source itself."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGES = ("market", "buyer_agents", "seller_services", "scenarios", "migrations", "bench", "docs")
SOURCES = sorted(path for name in PACKAGES for path in (PROJECT / name).rglob("*.py"))
TESTS = sorted((PROJECT / "tests").rglob("*.py"))
MARKET = [path for path in SOURCES if path.is_relative_to(PROJECT / "market")]
ROOMS = sorted(
    path.parent for path in MARKET if path.name == "errors.py" and path.parent.name != "base"
)
KNOWS_LITESTAR = ("market/faces/", "market/app.py", "bench/servers.py")
TRUST_BATCH = (
    "batches", "columns", "comparing", "outcomes", "published", "recount", "rings", "weighing",
)  # fmt: skip
KNOWS_POLARS = (
    "market/analytics/",
    "market/lab/frames.py",
    *(f"market/trust/{name}.py" for name in TRUST_BATCH),
)
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
LARGE = {
    "market/protocol/wire.py": "the list of all bodies: looked up, not read",
}
"""What is larger than the house likes, and why it is not cut."""


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=name_of(path))


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, by its whole name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def names(tree: ast.AST) -> Iterator[str]:
    """Every name and attribute that is used."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def inner_imports(tree: ast.AST) -> list[int]:
    return [
        node.lineno
        for function in functions(tree)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def calls(tree: ast.AST) -> set[str]:
    """Every call of an attribute of a plain name, such as ``time.time``."""
    return {
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
    }


def found(paths: list[Path], pattern: str) -> list[str]:
    """The files in whose text a pattern stands."""
    return [name_of(path) for path in paths if re.search(pattern, path.read_text("utf-8"))]


def importing(paths: list[Path], module: str) -> list[str]:
    """The files that import a module or a part of it."""
    return [
        name_of(path)
        for path in paths
        if any(f"{name}.".startswith(f"{module}.") for name in imported(tree_of(path)))
    ]


def test_nothing_is_imported_inside_a_function():
    assert [name_of(path) for path in SOURCES + TESTS if inner_imports(tree_of(path))] == []


def test_nothing_is_imported_for_its_types_alone():
    mark = "TYPE_" + "CHECKING"
    assert [name_of(path) for path in SOURCES + TESTS if mark in names(tree_of(path))] == []


def test_no_test_is_skipped():
    marks = {"skip", "skipif", "importorskip", "xfail"}
    assert [name_of(path) for path in TESTS if not marks.isdisjoint(names(tree_of(path)))] == []


def test_a_task_for_later_names_an_issue_and_an_ignore_its_rule():
    assert found(SOURCES, r"#.*\b(TODO|FIXME|XXX)\b(?!.*#\d)") == []
    assert found(SOURCES, r"# type: ignore(?!\[)") == []
    assert found(SOURCES, r"# noqa(?!: [A-Z]+\d+)") == []


def test_only_faces_and_the_composition_know_the_web_framework():
    others = [path for path in SOURCES if not name_of(path).startswith(KNOWS_LITESTAR)]
    assert importing(others, "litestar") == []


def test_only_analytics_and_the_trust_batch_know_polars_and_nobody_the_object_mapper():
    others = [path for path in MARKET if not name_of(path).startswith(KNOWS_POLARS)]
    assert importing(others, "polars") == []
    assert importing(SOURCES, "sqlalchemy.orm") == []


def test_only_the_clock_asks_what_time_it_is():
    others = [path for path in MARKET if name_of(path) != "market/base/clock.py"]
    asking = {"datetime.now", "datetime.utcnow", "time.time", "time.time_ns"}
    assert [name_of(path) for path in others if calls(tree_of(path)) & asking] == []


def test_agents_and_services_are_kept_from_every_part_of_the_market_but_the_protocol():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    [forbidden] = [
        contract["forbidden_modules"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract.get("source_modules") == ["buyer_agents", "seller_services"]
    ]
    inside = {path.relative_to(PROJECT / "market").parts[0].removesuffix(".py") for path in MARKET}
    assert {f"market.{part}" for part in inside - {"__init__", "protocol"}} == set(forbidden)


def test_every_module_says_what_it_is_for():
    assert [name_of(path) for path in SOURCES if not ast.get_docstring(tree_of(path))] == []


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_a_room_has_a_door_with_a_manual_and_a_table_of_its_own(room: Path):
    manual = ast.get_docstring(tree_of(room / "__init__.py"))

    assert manual is not None
    assert len(manual.split()) >= 20, "the door says what the room decides, and in which words"
    assert (room / "tables.py").exists()


def test_files_and_functions_stay_small():
    large = [path for path in SOURCES if len(path.read_text("utf-8").splitlines()) > MAX_LINES]
    assert {name_of(path) for path in large} <= LARGE.keys()
    long = {
        f"{name_of(path)}:{function.name}"
        for path in SOURCES
        for function in functions(tree_of(path))
        if "migrations/" not in name_of(path) and lines_of(function) > MAX_FUNCTION_LINES
    }
    assert long <= LARGE.keys()


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1
