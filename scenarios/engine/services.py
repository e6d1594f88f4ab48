"""Where a story's services come from: the samples, or a seller of one's own."""

import importlib
import inspect
from collections.abc import AsyncGenerator
from typing import Any, Final

from msgspec import UNSET

from buyer_agents.making import suggestion
from scenarios.engine.form import SellerPart, seconds
from scenarios.engine.seeds import chance_of
from seller_services import Seller
from seller_services.behaviours import behaviour_named, joined
from seller_services.handling import Handler, Order, Yielded
from seller_services.samples import SAMPLES

_DEFAULT_NAME: Final = "seller"


class UnknownService(ValueError):
    """There is no such service; the message says which there are."""


def seller_for(part: SellerPart, name: str, seed: int, *, has_threads: bool = True) -> Seller:
    """Return the seller ``name`` of a story, which lists and behaves as the story says.

    Who else is there changes nothing in it. Without threads its work is done in the event loop:
    simulated time waits for no thread.

    Raises:
        UnknownService: there is no such service.
        UnknownBehaviour: there is no such behaviour.
        BadParams: it takes no such params.
        BadManifest: the service cannot be listed so.
    """
    seller = seller_of(part.service).with_listing(_listing(part, name))
    if not has_threads:
        seller = seller.with_handler(_in_loop)
    chance = chance_of(seed, f"{name} behaves")
    conduct = behaviour_named(part.behaviour, part.params, chance=chance, agent=name)
    return joined(conduct, seller)


def _listing(part: SellerPart, name: str) -> dict[str, Any]:
    """Return what a story says of a manifest."""
    listing: dict[str, Any] = {"id": name}
    if part.price is not UNSET:
        listing["price"] = {"amount": part.price}
    if part.deliver_within is not UNSET:
        listing["limits"] = {"deliver_seconds": int(seconds(part.deliver_within))}
    if part.refund is not UNSET:
        listing["policies"] = {"refund": part.refund}
    return listing


def _in_loop(handler: Handler) -> Handler:
    """Return the same handler as one that needs no thread."""
    if not inspect.isgeneratorfunction(handler):
        return handler

    async def called(order: Order) -> AsyncGenerator[Yielded, None]:
        for output in handler(order):
            yield output

    return called


def seller_of(service: str) -> Seller:
    """Return the seller of a sample service, or of ``package.module:name``.

    Raises:
        UnknownService: there is none.
    """
    if service in SAMPLES:
        sample = SAMPLES[service]
        # The key is never used: the story gives each seller its own.
        seller = Seller(sample.manifest, key=f"{service}.key")
        seller.handle(sample.handler)
        return seller.with_bargain(sample.bargain)
    module_name, _, name = service.partition(":")
    if "." not in module_name and not name:
        raise UnknownService(
            f"no sample service is called {service!r}"
            f"{suggestion(service, SAMPLES, otherwise='.')} There are {', '.join(SAMPLES)};"
            " one of your own is named 'package.module:seller'"
        )
    try:
        seller = getattr(importlib.import_module(module_name), name or _DEFAULT_NAME)
    except (ImportError, AttributeError) as error:
        raise UnknownService(f"no service {service!r}: {error}") from error
    if not isinstance(seller, Seller):
        raise UnknownService(f"{service!r} is no Seller")
    return seller
