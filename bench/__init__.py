"""Benches: the market against limits measured in the same run on the same machine.

``make bench`` runs all of them, ``make bench ONLY=journey`` one. Each prints a table and appends
one JSON object per figure to ``bench/results.jsonl``. Slices of the market (M) alternate with
slices of two yardsticks, and what counts is the median of their ratios:

- R, ``raw``: the order transaction as bare ``sqlite3`` statements, 50 in a commit.
- F, ``servers``: a bare Litestar JSON POST on the same server.

``streams`` has yardsticks of its own: the reference server of the protocol, with either store. So
has ``facts``: polars written by hand, and the bare driver.

``harness`` holds the slices, processes, CPU readings, figures and tables; ``wire`` the load
driver; ``cast`` the agents it drives.
"""
