"""The seller SDK: ten lines make a seller.

A **handler** is a generator function of one ``Order``; each value it yields is one **chunk** of
the delivery, sent as it comes, with the **units** of work it stands for (``measure``). The
``Seller`` lists the service, follows its inbox, and works on its orders; the market keeps all
there is to know, so that a seller that was killed goes on where it stopped::

    from seller_services import Seller

    seller = Seller("acme.toml", key="acme.key")

    @seller.handle
    async def tables(order):
        for page in order.input["pages"]:
            yield {"rows": [f"row of {page}"]}

    if __name__ == "__main__":
        seller.run()

A manifest that names an ``endpoint`` needs no handler: the ``Gateway`` calls it for each order,
over HTTP, and what it answers is the delivery.

Who may pay less says so with ``@seller.bargain``; without it a counter-offer is declined.
"""

from seller_services.bargaining import Bargain, down_to
from seller_services.calls import BadCall, CallClaims, check_call
from seller_services.gateway import Gateway
from seller_services.handling import CannotDeliver, Chunk, Handler, Order, Steering, outputs_of
from seller_services.keys import handle_of, load_or_make
from seller_services.measure import share_of
from seller_services.seller import Seller, log_to_stderr

__all__ = [
    "BadCall",
    "Bargain",
    "CallClaims",
    "CannotDeliver",
    "Chunk",
    "Gateway",
    "Handler",
    "Order",
    "Seller",
    "Steering",
    "check_call",
    "down_to",
    "handle_of",
    "load_or_make",
    "log_to_stderr",
    "outputs_of",
    "share_of",
]
