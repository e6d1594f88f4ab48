"""kill -9, again and again, under load: what was acknowledged is there, once, and nothing is owed.

``make crash`` runs it, on SQLite and on PostgreSQL. *People* (``people``) use a real market over
HTTP and remember all they asked and all they were told (``asking``). The market, or its database,
is killed at a random moment (``places``); what it left behind is audited, it is started again, what
was in doubt is asked again with the same keys, and everything acknowledged is held against what is
there (``judging``). ``driver`` repeats that and counts; ``flawed`` is a market with a planted bug,
by which the judge itself is proved, and ``power`` a disk that forgets what was not synced.
"""
