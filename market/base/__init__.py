"""Floor 1: what every room stands on, without any knowledge of a market.

``store`` (one writer, group commit, snapshots), ``work`` (what a verb and a query get), ``sql``
(statements compiled at import), ``streams`` (append-only logs), ``once`` (idempotency), ``hub``
(waiting readers), ``errors`` (refusals), ``caller`` (who asks, and what it signed), ``settings``,
``clock``, ``paging``, ``tables``, ``migration``.
"""
