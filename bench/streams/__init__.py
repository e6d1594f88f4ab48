"""Durable Streams: the market against the protocol's own server, one driver for all in one run.

Three servers stand side by side, each in a process of its own: *ours* (SQLite, every append on
disk before its answer, no tokens asked, as the others ask none), and the reference server from npm
with its *memory* store and with its *file* store. Slices of them alternate; what counts is the
median over slices of ours to theirs. The machine is small and shared by driver and server, so the
CPU of the server per operation stands beside each rate.

``servers`` starts them, ``sockets`` is the driver, ``scenes`` is what is done to each,
``rounds`` deals the slices, ``report`` compares.
"""

from bench.streams.rounds import run

__all__ = ["run"]
