"""The demo world: listeners with planted tastes, the moments of their days, and what they did with the music.

All of it is drawn from one seed and documented in docs/demo-world.md, so that what a recommender learns can be held
against what was planted. Columns only: it knows no service.
"""

from __future__ import annotations

from rhythmiq_cli.demo.world.effects import EFFECTS, Effect
from rhythmiq_cli.demo.world.events import TYPES, Events
from rhythmiq_cli.demo.world.items import AUDIO, WorldItems, demo_columns, synthetic_items
from rhythmiq_cli.demo.world.make import World, make_world
from rhythmiq_cli.demo.world.surroundings import KINDS, VOCABULARY, Surroundings
from rhythmiq_cli.demo.world.tastes import Planted, Tastes

__all__ = [
    "AUDIO",
    "EFFECTS",
    "KINDS",
    "TYPES",
    "VOCABULARY",
    "Effect",
    "Events",
    "Planted",
    "Surroundings",
    "Tastes",
    "World",
    "WorldItems",
    "demo_columns",
    "make_world",
    "synthetic_items",
]
