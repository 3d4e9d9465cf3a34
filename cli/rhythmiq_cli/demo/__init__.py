"""The demo: a catalogue made by rule, and a listener to recommend it to."""

from __future__ import annotations

from rhythmiq_cli.demo.catalogue import demo_items
from rhythmiq_cli.demo.seed import Seeded, seed_demo

__all__ = ["Seeded", "demo_items", "seed_demo"]
