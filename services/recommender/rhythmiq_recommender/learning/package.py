"""A trained ranker as a folder: LightGBM's text, the signals' arrays, and a manifest that guards both by checksum.

Nothing is ever unpickled. A folder that is truncated, changed, foreign, made for other features, or that holds values
which no fit gives, is refused with the reason.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np

from rhythmiq_recommender.learning.features import FEATURES_VERSION
from rhythmiq_recommender.learning.listening import Catalogue
from rhythmiq_recommender.learning.model_text import BadText, checked
from rhythmiq_recommender.learning.scorer import Scorer
from rhythmiq_recommender.learning.served.reader import Fit, Fitted
from rhythmiq_recommender.learning.served.registry import SERVED_NAMES
from rhythmiq_recommender.learning.served.state import AnyArray, BadState

FORMAT: Final = "rhythmiq-ranker"
FORMAT_VERSION: Final = 2
MODEL, SIGNALS, MANIFEST = "model.txt", "signals.npz", "manifest.json"
FILES: Final = (MODEL, SIGNALS, MANIFEST)
"""All files of a package; the manifest is written last."""
MOST_BYTES: Final[Mapping[str, int]] = {MODEL: 64 * 2**20, SIGNALS: 256 * 2**20, MANIFEST: 2**20}
"""A larger file is refused before it is read: here, when publishing, and by the store of models."""
KINDS: Final[Mapping[str, int]] = {"track": 1, "podcast_episode": 2, "soundscape": 3}
"""Kinds of items that have rankers of their own, with their numbers in rhythmiq.recommender.v1.Item.Kind."""


class BadModel(ValueError):
    """The model cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a package says of itself."""

    version: str
    """Chosen by whoever trained it; unique in a registry."""
    kind: str
    """One of KINDS."""
    cohort: str
    """"all", or one of `scorer.COHORTS`."""
    features: tuple[str, ...]
    """Column names, in the order of the model's inputs."""
    files: Mapping[str, str]
    """File name to the SHA-256 of its content."""
    trees: int
    scale: float
    """Standard deviation of raw scores among the candidates of a query; scores are divided by it."""
    trained_until: float
    """Unix seconds of the last event that was learned from."""
    counts: Mapping[str, int]
    """How much it was learned from: events, listeners, items, queries, rows."""
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any]
    features_version: int = FEATURES_VERSION
    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    lightgbm: str = lgb.__version__


@dataclass(frozen=True, slots=True)
class Package:
    """A ranker that was checked."""

    manifest: Manifest
    booster: lgb.Booster
    fit: Fitted

    def onto(self, catalogue: Catalogue) -> Scorer:
        """The same fit over a catalogue as it is now: gone items are dropped, new ones start without history."""
        return Scorer(self.fit.onto(catalogue), self.booster, self.manifest.features, self.manifest.scale)


def save(
    folder: Path,
    booster: lgb.Booster,
    fit: Fit,
    *,
    version: str,
    cohort: str = "all",
    scale: float = 1.0,
    trained_until: float = 0.0,
    counts: Mapping[str, int] | None = None,
    metrics: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Manifest:
    """Writes the files into `folder`, the manifest last: a folder without one is no package.

    Raises BadModel for what `load` would refuse.
    """
    text = booster.model_to_string().encode()
    arrays = io.BytesIO()
    np.savez(arrays, allow_pickle=False, **fit.only_heard().arrays())
    contents = {MODEL: text, SIGNALS: arrays.getvalue()}
    manifest = Manifest(
        version=version,
        kind=next(name for name, number in KINDS.items() if number == fit.kind),
        cohort=cohort,
        features=tuple(booster.feature_name()),
        files={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        trees=booster.num_trees(),
        scale=float(scale),
        trained_until=float(trained_until),
        counts=dict(counts or {}),
        metrics=dict(metrics or {}),
        settings=dict(settings or {}),
    )
    _check(manifest)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        _replace(folder / name, content)
    _replace(folder / MANIFEST, (json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n").encode())
    return manifest


def load(folder: Path) -> Package:
    """Reads and checks. Raises BadModel for anything that is not what `save` writes for these features."""
    manifest = read_manifest(folder)
    contents = {name: _read(folder / name) for name in (MODEL, SIGNALS)}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest.files[name]:
            raise BadModel(f"{name} is not what {MANIFEST} was written for: truncated or changed")
    booster = _booster(contents[MODEL], manifest)
    try:
        fit = Fit.of_arrays(_arrays(contents[SIGNALS]), KINDS[manifest.kind])
    except BadState as error:
        raise BadModel(f"{SIGNALS}: {error}") from None
    return Package(manifest, booster, Fitted.of(fit))


def read_manifest(folder: Path) -> Manifest:
    """Only what the package says of itself, checked. Raises BadModel."""
    content = _read(folder / MANIFEST)
    try:
        found = json.loads(content)
        if not isinstance(found, dict):
            raise TypeError("not an object")
        _check_format(found)
        manifest = Manifest(**{**found, "features": tuple(found["features"])})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, BadModel):
            raise
        raise BadModel(f"{MANIFEST} is not a manifest: {error}") from None
    _check(manifest)
    return manifest


def _check_format(found: Mapping[str, Any]) -> None:
    expected = {"format": FORMAT, "format_version": FORMAT_VERSION, "features_version": FEATURES_VERSION}
    if any(found.get(name) != value for name, value in expected.items()):
        raise BadModel(
            f"the model is {found.get('format')} {found.get('format_version')} with features "
            f"{found.get('features_version')}; this program reads {FORMAT} {FORMAT_VERSION} with features "
            f"{FEATURES_VERSION}"
        )


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "version": (str,),
    "kind": (str,),
    "cohort": (str,),
    "files": (dict,),
    "trees": (int,),
    "scale": (float, int),
    "trained_until": (float, int),
    "counts": (dict,),
    "metrics": (dict,),
    "settings": (dict,),
}


def _check(manifest: Manifest) -> None:
    for name, types in _TYPES.items():
        if not isinstance(getattr(manifest, name), types) or isinstance(getattr(manifest, name), bool):
            raise BadModel(f"{MANIFEST} is not a manifest: {name} is not a {types[0].__name__}")
    if manifest.kind not in KINDS:
        raise BadModel(f"the model is for items of kind {manifest.kind}; this program knows {', '.join(KINDS)}")
    if set(manifest.files) != {MODEL, SIGNALS}:
        raise BadModel(f"{MANIFEST} is not a manifest: files must be {MODEL} and {SIGNALS}")
    if not (np.isfinite(manifest.scale) and manifest.scale > 0 and np.isfinite(manifest.trained_until)):
        raise BadModel(f"{MANIFEST} is not a manifest: scale and trained_until must be finite, scale above 0")
    _check_features(manifest.features)


def _check_features(features: Sequence[str]) -> None:
    unknown = [name for name in features if name not in SERVED_NAMES]
    if unknown or len(set(features)) != len(features) or not features:
        raise BadModel(f"the model wants features that this program does not have: {unknown[:5] or 'some twice'}")


def _booster(content: bytes, manifest: Manifest) -> lgb.Booster:
    try:
        booster = lgb.Booster(model_str=checked(content.decode(), manifest.features))
    except (lgb.basic.LightGBMError, BadText, UnicodeDecodeError) as error:
        raise BadModel(f"{MODEL} is not a model for this program: {error}") from None
    if tuple(booster.feature_name()) != manifest.features or booster.num_trees() != manifest.trees:
        raise BadModel(f"{MODEL} and {MANIFEST} disagree about features or trees")
    return booster


def _arrays(content: bytes) -> dict[str, AnyArray]:
    """Arrays of a file of NumPy's, none of them objects, none larger than the file may be."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_BYTES[SIGNALS]:
                raise BadModel(f"{SIGNALS} unpacks to more than {MOST_BYTES[SIGNALS]} bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except BadModel:
        raise
    except (ValueError, OSError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        raise BadModel(f"{SIGNALS} is not a file of arrays: {error}") from None


def _read(path: Path) -> bytes:
    most = MOST_BYTES[path.name]
    try:
        if path.stat().st_size > most:
            raise BadModel(f"{path.name} is larger than {most} bytes")
        return path.read_bytes()
    except OSError as error:
        raise BadModel(f"{path.name} cannot be read: {error.strerror}") from None


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
