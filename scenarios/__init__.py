"""Stories: TOML files that say who meets in a market, what goes wrong, and what must hold.

``scenarios.engine`` plays them on a real market on a loopback socket.
"""
