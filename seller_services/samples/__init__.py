"""Services that do real work on real input, streaming as they go.

Each is a module with a seller of its own (``python -m seller_services.samples.profile_csv`` runs
it) and a manifest beside it; ``SAMPLES`` names them for scenarios. ``key-sentences`` and
``quick-sentences`` compete: the second is cheaper and rougher.
"""

from pathlib import Path
from typing import Final, NamedTuple

from seller_services.bargaining import Bargain, stand_firm
from seller_services.handling import Handler
from seller_services.samples.convert_units import come_down, convert
from seller_services.samples.key_sentences import pick
from seller_services.samples.page_outline import outline
from seller_services.samples.profile_csv import profile
from seller_services.samples.quick_sentences import lead

_HERE: Final = Path(__file__).parent


class Sample(NamedTuple):
    """A sample service: its manifest, the handler behind it, and what it says to who bargains."""

    manifest: Path
    handler: Handler
    bargain: Bargain = stand_firm


SAMPLES: Final[dict[str, Sample]] = {
    "profile-csv": Sample(_HERE / "profile_csv.toml", profile),
    "key-sentences": Sample(_HERE / "key_sentences.toml", pick),
    "quick-sentences": Sample(_HERE / "quick_sentences.toml", lead),
    "page-outline": Sample(_HERE / "page_outline.toml", outline),
    "convert-units": Sample(_HERE / "convert_units.toml", convert, come_down),
}
"""Every sample by the id of its manifest."""
