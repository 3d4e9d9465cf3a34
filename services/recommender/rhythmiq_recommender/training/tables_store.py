"""Listens, catalogues and frames as files: arrays without objects in them, and names as JSON. Nothing is pickled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.learning.encoding import KINDS
from rhythmiq_recommender.learning.features import Frame
from rhythmiq_recommender.learning.listening import Catalogue, Listens

Columns = Mapping[str, NDArray[Any]]

CATALOGUE: Final = "catalogue.npz"
NAMES: Final = "names.json"
_CHUNK: Final = "listens-{:05}.npz"
_NAME_COLUMNS: Final = ("artist_names", "genre_names")
_FRAME_COLUMNS: Final = ("x", "query", "item", "label", "positives", "user")
_LISTEN_TYPES: Final[Mapping[str, type[np.generic]]] = {
    "listener": np.int32,
    "item": np.int32,
    "type": np.int8,
    "time": np.float64,
    "codes": np.int8,
    "position": np.int32,
    "propensity": np.float32,
}
"""As stored; integers are 64 bits wide again when read."""


def write_columns(path: Path, columns: Columns) -> None:
    """Writes named arrays. Raises ValueError for one that only pickle could hold."""
    objects = [name for name, column in columns.items() if column.dtype.hasobject]
    if objects:
        raise ValueError(f"columns {', '.join(objects)} hold objects, which are not stored")
    with path.open("wb") as file:
        np.savez(file, **dict(columns))  # type: ignore[arg-type]


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """What `write_columns` wrote."""
    with np.load(path, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def write_catalogue(folder: Path, catalogue: Catalogue) -> None:
    """Writes the columns and the names."""
    write_columns(
        folder / CATALOGUE,
        {name: getattr(catalogue, name) for name in ("ids", "kind", "artist", "genre", "audio", "popularity")},
    )
    names = {name: getattr(catalogue, name) for name in _NAME_COLUMNS}
    (folder / NAMES).write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")


def read_catalogue(folder: Path) -> Catalogue:
    """What `write_catalogue` wrote."""
    names = json.loads((folder / NAMES).read_text(encoding="utf-8"))
    columns: dict[str, Any] = read_columns(folder / CATALOGUE)
    columns |= {name: tuple(names[name]) for name in _NAME_COLUMNS}
    return Catalogue(**columns)


def write_chunk(folder: Path, number: int, columns: Columns) -> None:
    """Writes one chunk of listens."""
    if set(columns) != set(_LISTEN_TYPES):
        raise ValueError(f"a chunk of listens has the columns {', '.join(_LISTEN_TYPES)}")
    write_columns(
        folder / _CHUNK.format(number), {name: columns[name].astype(kind) for name, kind in _LISTEN_TYPES.items()}
    )


def read_listens(folder: Path) -> Listens:
    """All chunks in order; none gives listens without rows."""
    parts = list(_chunks(folder))
    if not parts:
        none: dict[str, NDArray[Any]] = {name: np.zeros(0, kind) for name, kind in _LISTEN_TYPES.items()}
        return _listens(none | {"codes": np.zeros((0, len(KINDS)), np.int8)})
    return _listens({name: np.concatenate([part[name] for part in parts]) for name in _LISTEN_TYPES})


def _listens(columns: Columns) -> Listens:
    wide: dict[str, Any] = {name: columns[name].astype(np.int64) for name in ("listener", "item", "position")}
    return Listens(**{**columns, **wide})


def _chunks(folder: Path) -> Iterator[dict[str, NDArray[Any]]]:
    for path in sorted(folder.glob("listens-*.npz")):
        yield read_columns(path)


def write_frame(path: Path, frame: Frame) -> None:
    """Writes a frame; its names stand in it as text."""
    columns = {name: getattr(frame, name) for name in _FRAME_COLUMNS}
    write_columns(path, {**columns, "names": np.array(frame.names)})


def read_frame(path: Path) -> Frame:
    """What `write_frame` wrote."""
    columns: dict[str, Any] = read_columns(path)
    names = tuple(map(str, columns.pop("names")))
    return Frame(names, **columns)
