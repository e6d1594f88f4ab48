"""Where a story's services come from: the samples, or a seller of one's own."""

import importlib
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from seller_services import Seller
from seller_services.behaviours import HONEST, behaving
from seller_services.samples import SAMPLES

_DEFAULT_NAME: Final = "seller"


class UnknownService(ValueError):
    """There is no such service; the message says which there are."""


def seller_of(service: str, behaviour: str = HONEST, params: Mapping[str, Any] = {}) -> Seller:
    """Return a seller of this service that behaves so.

    ``service`` is the name of a sample, or ``package.module:name``.

    Raises:
        UnknownService: there is none.
        UnknownBehaviour: there is no such behaviour, or it has no such params.
    """
    seller = _honest(service)
    return seller.with_handler(partial(behaving, name=behaviour, params=dict(params)))


def _honest(service: str) -> Seller:
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
