"""The signals that are served, in the order in which their columns stand."""

from __future__ import annotations

from typing import Final

from rhythmiq_recommender.learning.encoding import KINDS
from rhythmiq_recommender.learning.served.alike import Alike
from rhythmiq_recommender.learning.served.follow import Follow
from rhythmiq_recommender.learning.served.here import Here
from rhythmiq_recommender.learning.served.own import Own
from rhythmiq_recommender.learning.served.popular import Popular
from rhythmiq_recommender.learning.served.prior import PriorHere
from rhythmiq_recommender.learning.served.signal import Served
from rhythmiq_recommender.learning.served.sound import SoundHere
from rhythmiq_recommender.learning.served.taste import Taste
from rhythmiq_recommender.learning.signals.signal import Feature

SERVED: Final[tuple[Served, ...]] = (
    Popular(),
    Taste(),
    Alike(),
    Follow(),
    Own(),
    Here(),
    SoundHere(),
    PriorHere(),
)
SERVED_FEATURES: Final[tuple[Feature, ...]] = tuple(feature for signal in SERVED for feature in signal.features)
SERVED_NAMES: Final[tuple[str, ...]] = tuple(feature.name for feature in SERVED_FEATURES)

TOTALS: Final[dict[str, tuple[str, ...]]] = {
    total: tuple(f"{part}_{kind}" for kind in KINDS)
    for total, part in (
        ("lift_here", "lift_item_in"),
        ("liked_here", "liked_item_in"),
        ("sound_here", "sound_in"),
        ("own_sound_here", "own_sound_in"),
        ("prior_here", "prior_in"),
    )
}
"""Features that are sums of others, with their parts in the order of KINDS."""
