"""Strongly connected components, against the definition."""

from hypothesis import given
from hypothesis import strategies as st

from market.analytics.components import strong_components

NODES = st.sampled_from("abcdef")


def reached(graph: dict[str, list[str]], start: str) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        new = set(graph.get(waiting.pop(), [])) - found
        found |= new
        waiting += new
    return found


@given(graph=st.dictionaries(NODES, st.lists(NODES, max_size=4)))
def test_two_are_together_if_each_leads_to_the_other(graph: dict[str, list[str]]):
    nodes = set(graph) | {other for others in graph.values() for other in others}

    found = strong_components(graph)

    assert sorted(node for members in found for node in members) == sorted(nodes)
    home = {node: number for number, members in enumerate(found) for node in members}
    for one in nodes:
        for other in nodes:
            both = other in reached(graph, one) and one in reached(graph, other)
            assert (home[one] == home[other]) == both


def test_a_chain_longer_than_any_recursion_is_walked():
    chain = {str(number): [str(number + 1)] for number in range(5_000)}
    ring = chain | {"5000": ["0"]}

    assert len(strong_components(chain)) == 5_001
    assert [len(members) for members in strong_components(ring)] == [5_001]
