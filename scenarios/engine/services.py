"""Where a story's services come from: the samples, or a seller of one's own."""

import importlib
from typing import Final

from seller_services import Seller
from seller_services.samples import SAMPLES

_DEFAULT_NAME: Final = "seller"


class UnknownService(ValueError):
    """There is no such service; the message says which there are."""


def seller_of(service: str) -> Seller:
    """Return the seller behind the name of a sample, or behind ``package.module:name``.

    Raises:
        UnknownService: there is none.
    """
    if service in SAMPLES:
        sample = SAMPLES[service]
        # The key is never used: the story gives each seller its own.
        seller = Seller(sample.manifest, key=f"{service}.key")
        seller.handle(sample.handler)
        return seller
    module_name, _, name = service.partition(":")
    if "." not in module_name and not name:
        raise UnknownService(
            f"no sample service is called {service!r}; there are {', '.join(SAMPLES)};"
            " one of your own is named 'package.module:seller'"
        )
    try:
        seller = getattr(importlib.import_module(module_name), name or _DEFAULT_NAME)
    except (ImportError, AttributeError) as error:
        raise UnknownService(f"no service {service!r}: {error}") from error
    if not isinstance(seller, Seller):
        raise UnknownService(f"{service!r} is no Seller")
    return seller
