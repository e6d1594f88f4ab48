"""The engine: reads a story, plays it on a real market with real clients, and proves the end.

A **story** is a ``Scenario`` (``form``) with the folder of its files; ``reading`` loads it and
names every mistake by its line. ``play.run`` opens a market on a loopback socket, **casts** the
agents with keys from the seed, and lets them go; the **director** follows every log, and performs
the **acts** of the story at their places: it cuts **cables**, intervenes, lets **watchers** and
**sub-agents** in. **Facts** are told from the logs and wallets alone,
**metrics** are named numbers about them, **expectations** are expressions over metrics. Every run
ends with an audit of its store (``proof``) and leaves a folder behind (``keeping``). A **sweep**
(``sweeping``) is many runs of one story, with other seeds and other values (``overriding``)::

    from scenarios.engine.play import run
    from scenarios.engine.reading import load

    result = anyio.run(run, load(Path("scenarios/first_purchase.toml")))

This door opens the form alone, so that it opens quickly; ``play`` loads a whole market.
"""

from scenarios.engine.form import (
    ArrivePart,
    BuyerPart,
    ExpectPart,
    FaultPart,
    MandatePart,
    MarketPart,
    NeedPart,
    OverseerPart,
    Scenario,
    SellerPart,
    StepPart,
    SubAgentPart,
    Trigger,
    WatcherPart,
    schema,
)
from scenarios.engine.story import BadScenario, Story, Trouble

__all__ = [
    "ArrivePart",
    "BadScenario",
    "BuyerPart",
    "ExpectPart",
    "FaultPart",
    "MandatePart",
    "MarketPart",
    "NeedPart",
    "OverseerPart",
    "Scenario",
    "SellerPart",
    "StepPart",
    "Story",
    "SubAgentPart",
    "Trigger",
    "Trouble",
    "WatcherPart",
    "schema",
]
