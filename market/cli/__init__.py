"""The command line, ``market noun verb``: data on stdout, all else on stderr.

``tree`` names every command and loads its module when it is called, so that help is quick.
``failures`` maps what can go wrong to one line and an exit code:

0 done · 1 an expectation failed · 2 usage, or an invalid file · 3 identity, signature or mandate
refused · 4 the market cannot be reached · 5 an invariant is broken · 6 not allowed in this state ·
70 a bug of this program · 130 interrupted.
"""

from market.cli.tree import main

__all__ = ["main"]
