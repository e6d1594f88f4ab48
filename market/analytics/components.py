"""Strongly connected components: groups in which everybody leads to everybody. Pure."""

from collections.abc import Iterator, Mapping, Sequence

Graph = Mapping[str, Sequence[str]]


def strong_components(graph: Graph) -> list[list[str]]:
    """Return the components of a directed graph, each sorted, the largest first.

    ``graph`` has for each node those that it leads to; one that is only led to need not be a key.
    After Kosaraju and Sharir (1981): what leads to the node that was finished last, among those
    that are left, is its component. Nothing recurses, so long chains do no harm.
    """
    leading: dict[str, list[str]] = {}
    for node, others in graph.items():
        for other in others:
            leading.setdefault(other, []).append(node)
    components: list[list[str]] = []
    taken: set[str] = set()
    for node in reversed(_finished(graph)):
        if node not in taken:
            members = _reached(leading, node, taken)
            components.append(sorted(members))
    return sorted(components, key=lambda one: (-len(one), one))


def _finished(graph: Graph) -> list[str]:
    """Return all nodes in the order in which a walk in depth is through with them."""
    finished: list[str] = []
    seen: set[str] = set()
    for root in graph:
        path: list[tuple[str, Iterator[str]]] = []
        _enter(graph, root, seen, path)
        while path:
            node, others = path[-1]
            other = next(others, None)
            if other is not None:
                _enter(graph, other, seen, path)
            else:
                finished.append(node)
                path.pop()
    return finished


def _enter(graph: Graph, node: str, seen: set[str], path: list[tuple[str, Iterator[str]]]) -> None:
    if node not in seen:
        seen.add(node)
        path.append((node, iter(graph.get(node, ()))))


def _reached(graph: Graph, start: str, taken: set[str]) -> list[str]:
    """Return what a node leads to, itself included, and is not taken yet; it is then."""
    taken.add(start)
    members = [start]
    # The list grows while it is walked.
    for node in members:
        for other in graph.get(node, ()):
            if other not in taken:
                taken.add(other)
                members.append(other)
    return members
