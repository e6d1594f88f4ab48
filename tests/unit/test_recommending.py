"""The graph of recommendations, over a few planted by hand."""

from market.analytics import Facts, recommendation_degrees, recommendation_graph
from tests.planted import NOON, after, planted


def told(number: int, from_id: str, recipient_id: str, service: str = "pdf") -> dict:
    return {
        "recommendation_id": f"r{number}", "recipient_id": recipient_id, "from_id": from_id,
        "service_id": service, "sent_at": NOON,
    }  # fmt: skip


def order(buyer: str, service: str, seconds: float, state: str = "settled") -> dict:
    return {
        "order_id": f"ord-{buyer}-{service}", "buyer_id": buyer, "service_id": service,
        "state": state, "placed_at": after(seconds),
    }  # fmt: skip


def market() -> Facts:
    return planted(
        recommendations=[
            told(1, "ann", "bob"),
            told(2, "ann", "bob", "csv"),
            told(3, "ann", "cid"),
            told(4, "bob", "cid"),
            told(5, "cid", "ann"),
        ],
        orders=[
            order("bob", "pdf", 5),
            order("cid", "pdf", 5),
            # Before it was told, and one that came to nothing.
            order("ann", "pdf", -5),
            order("bob", "csv", 5, "failed"),
        ],
        agents=[{"agent_id": name, "handle": name.title()} for name in ("ann", "bob", "cid")],
    )


def test_edges_tell_who_told_whom_and_what_was_followed():
    assert recommendation_graph(market()).rows() == [
        ("ann", "Ann", "bob", "Bob", 2, 2, 1),
        ("ann", "Ann", "cid", "Cid", 1, 1, 1),
        ("bob", "Bob", "cid", "Cid", 1, 1, 1),
        ("cid", "Cid", "ann", "Ann", 1, 1, 0),
    ]


def test_degrees_count_agents_and_not_messages():
    columns = ("name", "out_degree", "in_degree", "sent", "received")
    followed = ("sent_followed", "received_followed")

    assert recommendation_degrees(market()).select(*columns, *followed).rows() == [
        ("Ann", 2, 1, 3, 1, 2, 0),
        ("Bob", 1, 1, 1, 2, 1, 1),
        ("Cid", 1, 2, 1, 2, 0, 2),
    ]
