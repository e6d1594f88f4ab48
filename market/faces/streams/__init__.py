"""The streams face: the open protocol for durable streams, under ``/v1/stream/``.

Any client of that protocol creates, appends to, reads and follows raw streams here, and reads
sessions. ``headers`` reads and writes the protocol's words, ``logs`` says what is read, ``live``
sends server-sent events, ``appender`` groups what arrives together. Under ``__ds/`` it lets
clients subscribe (``subscribing``), and ``courier`` wakes them. The verbs are the room
``rawstreams``'. (Protocol 1.0; ``docs/streams.md``.)
"""

from market.faces.streams.courier import Courier, see_to_wakes
from market.faces.streams.face import StreamFace
from market.faces.streams.headers import PREFIX, SHARED

__all__ = ["PREFIX", "SHARED", "Courier", "StreamFace", "see_to_wakes"]
