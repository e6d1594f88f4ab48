"""Operations: what a handler's signature declares, for the reader of requests and the documents.

The markers are Litestar's: ``FromPath``, ``FromQuery``, ``HeaderParameter``, ``JSONBody`` and
``NamedDependency``.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from litestar.di import Dependency
from litestar.params import BodyKwarg, HeaderParameter, PathParameter, QueryParameter

from market.base.caller import Caller
from market.base.once import Once
from market.faces.http import limits
from market.faces.http.answers import JSON
from market.faces.http.doors import Visitor
from market.protocol.wire import Problem


@dataclass(frozen=True)
class HeaderField:
    """A request header that a handler reads."""

    header: str
    type: Any
    default: Any


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a handler's decorator says of it, beyond its signature.

    ``scopes``: a token needs one of them, the first that its agent's kind can have; ``session.*``
    are those of sub-agents. ``delegates`` lets these call: only for what lies in the one session of
    their delegation. ``frees`` says of what changes something that it ends, cancels or hands back:
    it is done also where the disk has little room.
    ``refuses`` are the statuses of refusals beyond those that follow from the signature;
    ``location`` is the address of what was made, with fields of the answer in braces; ``answer``
    and ``media`` say what is sent, where the function returns the finished bytes of it. ``form``
    and ``refusal`` are the types of a form that is read and of ``refuses``, where these are
    special.
    """

    status: int = 200
    refuses: tuple[int, ...] = ()
    scopes: tuple[str, ...] = ()
    delegates: bool = False
    frees: bool = False
    max_body: int = limits.BODY
    location: str = ""
    answer: Any = None
    media: tuple[str, ...] = (JSON,)
    form: Any = None
    refusal: Any = Problem


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """A handler's arguments by where they come from; maps are by name.

    ``query`` holds the query's parameters; its fields are arguments of their own, unless
    ``query_name`` says that the whole is one argument. Those in ``repeated`` are lists.
    """

    paths: dict[str, Any]
    query: type[msgspec.Struct]
    query_name: str
    repeated: frozenset[str]
    headers: dict[str, HeaderField]
    body_name: str
    body: Any
    dependencies: dict[str, Any]

    @property
    def needs_caller(self) -> bool:
        """Whether a bearer token is asked for."""
        return not {Caller, Visitor, Once}.isdisjoint(self.dependencies.values())

    @property
    def takes_key(self) -> bool:
        """Whether an Idempotency-Key is read, if there is one."""
        return self.needs_key or Once | None in self.dependencies.values()

    @property
    def needs_key(self) -> bool:
        """Whether an Idempotency-Key is asked for."""
        return Once in self.dependencies.values()


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of the API."""

    name: str
    summary: str
    description: str
    answer: Any
    takes: Arguments
    says: Declared

    def __deepcopy__(self, memo: dict[int, Any]) -> "Operation":
        # Litestar copies the handlers of a controller; msgspec's types cannot be copied.
        return self


def read_operation(handler: Callable[..., Any], says: Declared) -> Operation:
    """Return the operation that a handler's decorator, signature and docstring declare."""
    text = inspect.cleandoc(handler.__doc__ or handler.__name__)
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    hints = get_type_hints(handler, include_extras=True)
    return Operation(
        name=handler.__name__,
        summary=paragraphs[0],
        description="\n\n".join(paragraphs[1:]),
        answer=hints.pop("return") if says.answer is None else says.answer,
        takes=_read_arguments(handler, hints),
        says=says,
    )


def _read_arguments(handler: Callable[..., Any], hints: dict[str, Any]) -> Arguments:
    paths: dict[str, Any] = {}
    query: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    called: dict[str, str] = {}
    headers: dict[str, HeaderField] = {}
    dependencies: dict[str, Any] = {}
    body_name, body = "", None
    query_name, whole_query = "", None
    repeated: set[str] = set()
    for name, parameter in inspect.signature(handler).parameters.items():
        if name == "self":
            continue
        kind, marker = _split(hints[name])
        default = parameter.default
        match marker:
            case PathParameter():
                paths[name] = kind
            case QueryParameter() if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                query_name, whole_query = name, kind
            case QueryParameter():
                is_required = default is inspect.Parameter.empty
                query.append((name, kind) if is_required else (name, kind, default))
                called[name] = marker.name or name
                if _is_list(kind):
                    repeated.add(called[name])
            case HeaderParameter():
                headers[name] = HeaderField(str(marker.name), kind, default)
            case BodyKwarg():
                body_name, body = name, kind
            case _:
                dependencies[name] = kind
    return Arguments(
        paths=paths,
        query=whole_query
        or msgspec.defstruct(
            f"{handler.__name__}_query",
            query,
            kw_only=True,
            forbid_unknown_fields=True,
            rename=called,
        ),
        query_name=query_name,
        repeated=frozenset(repeated),
        headers=headers,
        body_name=body_name,
        body=body,
        dependencies=dependencies,
    )


def _is_list(kind: Any) -> bool:
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return get_origin(plain) is list


def _split(hint: Any) -> tuple[Any, Any]:
    """Return an argument's type, with its limits, and the marker of its source."""
    assert get_origin(hint) is Annotated, f"{hint} does not say where it comes from"
    kind, *notes = get_args(hint)
    markers = (PathParameter, QueryParameter, HeaderParameter, BodyKwarg, Dependency)
    [marker] = [note for note in notes if isinstance(note, markers)]
    for note in notes:
        if note is not marker:
            kind = Annotated[kind, note]
    return kind, marker
