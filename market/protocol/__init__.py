"""Floor 0: the wire. Structs, ids, money, canonical JSON and signing: all that outsiders import.

Enter by the modules: ``ids``, ``money``, ``canonical``, ``signing``, ``commitments`` (what agents
sign), ``manifest`` (what a service says it can do), ``events`` (what a session may hold),
``wire`` (bodies of HTTP requests and answers).
"""
