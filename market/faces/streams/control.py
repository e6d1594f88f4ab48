"""Subscriptions in the protocol's words: what is said of them, of their streams and their wakes."""

from typing import Any, Final

from market.base.clock import rfc3339
from market.base.settings import Settings
from market.faces.streams.headers import PREFIX, quoted, write_offset
from market.protocol.signing import SigningKey
from market.rawstreams import Claimed, Delivery, Link, Subscription, webhook_signer

RESERVED: Final = "__ds/"
"""Paths that begin so are the protocol's own."""

SUBSCRIPTIONS: Final = f"{RESERVED}subscriptions/"
KEYS: Final = f"{RESERVED}jwks.json"


def subscription_tree(
    settings: Settings, signer: SigningKey, subscription: Subscription
) -> dict[str, Any]:
    """Return a subscription as its owner is told of it."""
    tree: dict[str, Any] = {
        "id": subscription.name,
        "subscription_id": subscription.name,
        "type": subscription.kind,
        "pattern": subscription.pattern,
        "streams": [_link(link) for link in subscription.links],
        "webhook": None,
        "wake_stream": subscription.wake_path,
        "lease_ttl_ms": subscription.lease_ms,
        "created_at": rfc3339(subscription.created_at),
        "status": "failed" if subscription.is_failing else "active",
        "description": subscription.description,
    }
    if subscription.url is not None:
        signing = {
            "alg": "ed25519",
            "kid": webhook_signer(signer).kid,
            "jwks_url": f"{settings.issuer}{PREFIX}{KEYS}",
        }
        tree["webhook"] = {"url": subscription.url, "signing": signing}
    return {name: value for name, value in tree.items() if value is not None}


def claimed_tree(claimed: Claimed) -> dict[str, Any]:
    """Return a wake as the worker that took it is told of it."""
    return {
        "wake_id": claimed.wake_id,
        "generation": claimed.generation,
        "token": claimed.token,
        "streams": [_followed(link) for link in claimed.links],
        "lease_ttl_ms": claimed.lease_ms,
    }


def wake_tree(settings: Settings, delivery: Delivery) -> dict[str, Any]:
    """Return a wake as a webhook is told of it."""
    name = quoted(delivery.name)
    return {
        "subscription_id": delivery.name,
        "wake_id": delivery.wake_id,
        "generation": delivery.generation,
        "streams": [_followed(link) for link in delivery.links],
        "callback_url": f"{settings.issuer}{PREFIX}{SUBSCRIPTIONS}{name}/callback",
        "callback_token": delivery.token,
    }


def _link(link: Link) -> dict[str, Any]:
    return {
        "path": link.path,
        "link_type": "explicit" if link.is_explicit else "glob",
        "acked_offset": write_offset(link.acked).decode(),
    }


def _followed(link: Link) -> dict[str, Any]:
    return {
        **_link(link),
        "tail_offset": write_offset(link.next_offset).decode(),
        "has_pending": link.is_pending,
    }
