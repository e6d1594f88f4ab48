"""Expectations: a small expression over named metrics, such as ``orders.settled == 2``.

Comparisons (chains, too), ``and``, ``or``, ``not``, ``+ - *``, numbers, texts and metrics; nothing
else is understood. Numbers are exact decimals as they are written. Kinds are checked when the
expression is read, so that one that can be read can also be evaluated.
"""

import ast
import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["number", "text", "truth"]
Value = Decimal | str | bool
Measure = Callable[["Use"], Value]

MAX_SOURCE: Final = 2_000
"""Characters of the longest expression."""

_CALLED: Final[dict[Kind, str]] = {"number": "number", "text": "text", "truth": "yes or no"}
_DECIMAL: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_COMPARE: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Decimal]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


class BadExpression(ValueError):
    """The expression cannot be read; the message says what is wrong, and what may be meant."""


class Signature(NamedTuple):
    """What a metric gives, and the parameter that it takes ("" for none)."""

    kind: Kind
    parameter: str = ""


class Use(NamedTuple):
    """A metric as an expression asks for it; ``argument`` is "" for one without parameter."""

    metric: str
    argument: str
    source: str


class _Part(NamedTuple):
    """A part of an expression, read: its kind, and how to find its value."""

    kind: Kind
    value: Callable[[Measure], Any]


class Expression:
    """A question with the answer yes or no.

    ``uses`` are the metrics that it asks for, ``texts`` those of them that are held against a text
    of the question, each with that.
    """

    def __init__(self, source: str, signatures: Mapping[str, Signature]) -> None:
        self.source = source
        self.uses: list[Use] = []
        self.texts: list[tuple[Use, str]] = []
        self._signatures = signatures
        self._readers: dict[type[ast.expr], Callable[[Any], _Part]] = {
            ast.Constant: self._constant,
            ast.BoolOp: self._junction,
            ast.UnaryOp: self._sign,
            ast.BinOp: self._arithmetic,
            ast.Compare: self._comparison,
            ast.Attribute: self._metric,
            ast.Name: self._metric,
            ast.Call: self._metric,
        }
        if len(source) > MAX_SOURCE:
            raise BadExpression(f"it is longer than {MAX_SOURCE} characters")
        try:
            self._answer = self._need(_parse(source), "truth")
        except RecursionError as error:
            raise BadExpression("it is nested too deep") from error
        if not self.uses:
            raise BadExpression("it names no metric, so it tests nothing")

    def holds(self, measure: Measure) -> bool:
        """Return whether it is true, with ``measure`` giving the value of each metric."""
        return bool(self._answer(measure))

    def _read(self, node: ast.expr) -> _Part:
        reader = self._readers.get(type(node))
        if reader is None:
            raise self._unknown(node)
        return reader(node)

    def _need(self, node: ast.expr, kind: Kind) -> Callable[[Measure], Any]:
        part = self._read(node)
        if part.kind != kind:
            raise BadExpression(
                f"{self._text(node)} is a {_CALLED[part.kind]}, where a {_CALLED[kind]} is needed"
            )
        return part.value

    def _constant(self, node: ast.Constant) -> _Part:
        text, constant = self._text(node), node.value
        if isinstance(constant, str):
            return _Part("text", lambda _: constant)
        if not _DECIMAL.fullmatch(text):
            raise self._unknown(node)
        return _Part("number", lambda _: Decimal(text))

    def _junction(self, node: ast.BoolOp) -> _Part:
        parts = [self._need(value, "truth") for value in node.values]
        decide = all if isinstance(node.op, ast.And) else any
        return _Part("truth", lambda measure: decide([part(measure) for part in parts]))

    def _sign(self, node: ast.UnaryOp) -> _Part:
        if isinstance(node.op, ast.Not):
            truth = self._need(node.operand, "truth")
            return _Part("truth", lambda measure: not truth(measure))
        if not isinstance(node.op, ast.USub):
            raise self._unknown(node)
        number = self._need(node.operand, "number")
        return _Part("number", lambda measure: -number(measure))

    def _arithmetic(self, node: ast.BinOp) -> _Part:
        act = _ARITHMETIC.get(type(node.op))
        if act is None:
            raise self._unknown(node)
        left, right = self._need(node.left, "number"), self._need(node.right, "number")
        return _Part("number", lambda measure: act(left(measure), right(measure)))

    def _comparison(self, node: ast.Compare) -> _Part:
        first = self._read(node.left)
        parts = [first.value, *(self._need(other, first.kind) for other in node.comparators)]
        if first.kind == "text":
            self._note_texts([node.left, *node.comparators])
        acts = []
        for op in node.ops:
            if type(op) not in _COMPARE:
                raise self._unknown(node)
            if first.kind != "number" and not isinstance(op, ast.Eq | ast.NotEq):
                called = _CALLED[first.kind]
                raise BadExpression(f"a {called} has no order: compare it with == or !=")
            acts.append(_COMPARE[type(op)])

        def compare(measure: Measure) -> bool:
            values = [part(measure) for part in parts]
            return all(act(values[at], values[at + 1]) for at, act in enumerate(acts))

        return _Part("truth", compare)

    def _note_texts(self, nodes: Sequence[ast.expr]) -> None:
        """Note each metric beside each text that it is compared with."""
        written = [node.value for node in nodes if isinstance(node, ast.Constant)]
        for node in nodes:
            source = self._text(node)
            asked = (use for use in self.uses if use.source == source)
            self.texts += [(use, str(text)) for use in asked for text in written]

    def _metric(self, node: ast.Attribute | ast.Name | ast.Call) -> _Part:
        name = self._text(node.func if isinstance(node, ast.Call) else node)
        signature = self._signatures.get(name)
        if signature is None:
            near = difflib.get_close_matches(name, self._signatures, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadExpression(f"there is no metric {name!r}{hint}")
        use = Use(name, self._argument(node, name, signature.parameter), self._text(node))
        if use not in self.uses:
            self.uses.append(use)
        return _Part(signature.kind, lambda measure: measure(use))

    def _argument(self, node: ast.expr, name: str, parameter: str) -> str:
        match node:
            case ast.Call(
                args=[], keywords=[ast.keyword(arg=given, value=ast.Constant(value=str(value)))]
            ) if given == parameter:
                return value
            case ast.Attribute() | ast.Name() if not parameter:
                return ""
        form = f"{name}({parameter}='name')" if parameter else name
        raise BadExpression(f"write {self._text(node)} as {form}")

    def _unknown(self, node: ast.expr) -> BadExpression:
        return BadExpression(f"{self._text(node)} is not understood here")

    def _text(self, node: ast.expr) -> str:
        return ast.get_source_segment(self.source, node) or self.source


def _parse(source: str) -> ast.expr:
    try:
        return ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise BadExpression(f"it is no expression: {error.args[0]}") from error
    except MemoryError as error:  # what the parser says of what is nested too deep for it
        raise BadExpression("it is nested too deep") from error
