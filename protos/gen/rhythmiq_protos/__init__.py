"""Where the edge finds the descriptor set of the whole API."""

from importlib.resources import files
from pathlib import Path

DESCRIPTORS = Path(str(files(__package__) / "descriptors.binpb"))
