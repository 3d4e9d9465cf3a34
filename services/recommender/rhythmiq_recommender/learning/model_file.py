"""A model as two files: LightGBM's own text, and a JSON manifest that says what it is and guards it by checksum.

Nothing is ever unpickled. A file that is truncated, changed, foreign, or made for other features is refused with the
reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb

from rhythmiq_recommender.learning.features import FEATURES_VERSION, REGISTRY

FORMAT: Final = "rhythmiq-ranker"
FORMAT_VERSION: Final = 1
MODEL, MANIFEST = "model.txt", "manifest.json"
MOST_BYTES: Final = 64 * 2**20
"""A larger model is refused before it is read."""


class BadModel(ValueError):
    """The model cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model file says of itself."""

    version: str
    """Chosen by whoever trained it; unique in a registry."""
    features: tuple[str, ...]
    """Column names, in the order of the model's inputs."""
    sha256: str
    """Of the model text."""
    trees: int
    metrics: Mapping[str, float]
    settings: Mapping[str, Any]
    features_version: int = FEATURES_VERSION
    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    lightgbm: str = lgb.__version__


@dataclass(frozen=True, slots=True)
class Model:
    """A model that was checked."""

    manifest: Manifest
    booster: lgb.Booster


def save(
    folder: Path,
    booster: lgb.Booster,
    *,
    version: str,
    metrics: Mapping[str, float] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Manifest:
    """Writes both files into `folder`, the manifest last: a folder without one is no model."""
    text = booster.model_to_string().encode()
    features = tuple(booster.feature_name())
    _check_features(features)
    manifest = Manifest(
        version=version,
        features=features,
        sha256=hashlib.sha256(text).hexdigest(),
        trees=booster.num_trees(),
        metrics=dict(metrics or {}),
        settings=dict(settings or {}),
    )
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / MODEL, text)
    _replace(folder / MANIFEST, (json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n").encode())
    return manifest


def load(folder: Path) -> Model:
    """Reads and checks. Raises BadModel for anything that is not exactly what `save` wrote for these features."""
    manifest = _manifest(_read(folder / MANIFEST))
    text = _read(folder / MODEL)
    if hashlib.sha256(text).hexdigest() != manifest.sha256:
        raise BadModel(f"{MODEL} is not what {MANIFEST} was written for: truncated or changed")
    _check_features(manifest.features)
    try:
        booster = lgb.Booster(model_str=text.decode())
    except (lgb.basic.LightGBMError, UnicodeDecodeError) as error:
        raise BadModel(f"{MODEL} is not a LightGBM model: {error}") from None
    if tuple(booster.feature_name()) != manifest.features or booster.num_trees() != manifest.trees:
        raise BadModel(f"{MODEL} and {MANIFEST} disagree about features or trees")
    return Model(manifest, booster)


def _manifest(content: bytes) -> Manifest:
    try:
        found = json.loads(content)
        manifest = Manifest(**{**found, "features": tuple(map(str, found["features"]))})
    except (ValueError, TypeError, KeyError) as error:
        raise BadModel(f"{MANIFEST} is not a manifest: {error}") from None
    expected = (FORMAT, FORMAT_VERSION, FEATURES_VERSION)
    if (manifest.format, manifest.format_version, manifest.features_version) != expected:
        raise BadModel(
            f"the model is {manifest.format} {manifest.format_version} with features {manifest.features_version}; "
            f"this program reads {FORMAT} {FORMAT_VERSION} with features {FEATURES_VERSION}"
        )
    return manifest


def _check_features(features: Sequence[str]) -> None:
    unknown = [name for name in features if name not in REGISTRY]
    if unknown or len(set(features)) != len(features):
        raise BadModel(f"the model wants features that this program does not have: {unknown[:5] or 'some twice'}")


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadModel(f"{path.name} is larger than {MOST_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise BadModel(f"{path.name} cannot be read: {error.strerror}") from None


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
