"""Surroundings as columns, with kinds and values as stored interactions have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from rhythmiq.type.v1 import environment_pb2
from rhythmiq_cli.demo.world.arrays import AnyInts, Bools, Codes, Floats

_Environment = environment_pb2.Environment

VOCABULARY: Final[Mapping[str, tuple[str, ...]]] = {
    kind: tuple(name.lower() for name in enum.keys()[1:])  # the first is UNSPECIFIED
    for kind, enum in (
        ("activity", _Environment.Activity),
        ("weather", _Environment.Weather),
        ("place_type", _Environment.PlaceType),
        ("audio_output", _Environment.AudioOutput),
        ("company", _Environment.Company),
    )
}
"""Kinds whose values are names, and the names in the order of the API's enums."""

NUMBERS: Final = ("ambient_noise", "illuminance", "temperature", "humidity", "heart_rate", "speed", "local_time")
"""Kinds whose values are numbers, in the API's units; `local_time` in hours since midnight."""

KINDS: Final = (*VOCABULARY, *NUMBERS)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One row a session. `names`: kind to indices into VOCABULARY, -1 unknown; `numbers`: to values, NaN unknown."""

    names: Mapping[str, Codes]
    numbers: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.names["activity"])

    def take(self, rows: AnyInts | slice) -> Surroundings:
        """Some rows."""
        return Surroundings(
            {kind: column[rows] for kind, column in self.names.items()},
            {kind: column[rows] for kind, column in self.numbers.items()},
        )

    def only(self, shared: Bools) -> Surroundings:
        """With what is not shared as unknown; `shared` is (rows x KINDS)."""
        column = dict(zip(KINDS, shared.T, strict=True))
        return Surroundings(
            {kind: np.where(column[kind], codes, -1).astype(np.int8) for kind, codes in self.names.items()},
            {kind: np.where(column[kind], values, np.nan).astype(np.float32) for kind, values in self.numbers.items()},
        )

    def row(self, number: int) -> dict[str, float | str]:
        """What is known in one row, as a stored interaction has it."""
        found: dict[str, float | str] = {
            kind: VOCABULARY[kind][codes[number]] for kind, codes in self.names.items() if codes[number] >= 0
        }
        for kind, values in self.numbers.items():
            if not np.isnan(values[number]):
                found[kind] = float(values[number])
        return found


def surroundings_of(environment: Mapping[str, float | str]) -> Surroundings:
    """One row, from values as a stored interaction has them; kinds that are not named are unknown."""
    return Surroundings(
        {
            kind: np.array([names.index(str(environment[kind])) if kind in environment else -1], np.int8)
            for kind, names in VOCABULARY.items()
        },
        {kind: np.array([environment.get(kind, np.nan)], np.float32) for kind in NUMBERS},
    )
