"""A package is used only if it is exactly what was saved, for exactly these features."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packages import trained

from rhythmiq_recommender.learning import package
from rhythmiq_recommender.learning.features import Frame
from rhythmiq_recommender.learning.history import EMPTY
from rhythmiq_recommender.learning.model_text import checked
from rhythmiq_recommender.learning.package import FILES, MANIFEST, MODEL, SIGNALS, BadModel, load, read_manifest, save
from rhythmiq_recommender.learning.ranker import fit, predict
from rhythmiq_recommender.learning.scorer import Asking
from rhythmiq_recommender.learning.served.registry import SERVED_NAMES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    one = trained()
    save(tmp_path / "v1", one.booster, one.fit, version="v1", scale=0.5, metrics={"ndcg": {"mean": 0.4}})
    return tmp_path / "v1"


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Changes a file and makes the manifest agree, as one with bad intent would."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / name).write_bytes(content)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def arrays(folder: Path) -> dict[str, Any]:
    with np.load(folder / SIGNALS) as found:
        return {name: found[name] for name in found.files}


def rewrite_arrays(folder: Path, found: dict[str, Any]) -> None:
    content = io.BytesIO()
    np.savez(content, **found)
    rewrite(folder, SIGNALS, content.getvalue())


def test_a_saved_package_is_loaded_and_scores_the_same(folder: Path) -> None:
    one, loaded = trained(), load(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert read_manifest(folder) == loaded.manifest
    assert (loaded.manifest.version, loaded.manifest.kind, loaded.manifest.cohort) == ("v1", "track", "all")
    scorer = loaded.onto(one.catalogue)
    codes = np.full(12, -1, np.int8)
    codes[0] = 8
    asking = Asking(EMPTY, 1e9, codes)
    rows = np.arange(40)
    x = scorer.features(asking, rows)
    fresh = one.reader.features(scorer._seen(asking), rows)
    assert np.array_equal(x, fresh, equal_nan=True)
    assert np.allclose(scorer.scores(x) * 0.5, predict(one.booster, x))


@pytest.mark.parametrize("name", [MODEL, SIGNALS])
def test_a_truncated_or_changed_file_is_refused(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for broken in (whole[:-100], whole[:50] + bytes([whole[50] ^ 1]) + whole[51:], b""):
        (folder / name).write_bytes(broken)
        with pytest.raises(BadModel, match="truncated or changed"):
            load(folder)


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return (Path.touch, (self.path,))


def test_foreign_files_are_refused_and_never_unpickled(folder: Path, tmp_path: Path) -> None:
    bomb = Bomb(tmp_path / "exploded")
    found = arrays(folder)
    objects = np.empty(1, object)
    objects[0] = bomb
    rewrite_arrays(folder, found | {"popular.overall": objects})
    with pytest.raises(BadModel, match="not a file of arrays"):
        load(folder)
    rewrite(folder, SIGNALS, pickle.dumps(bomb))
    with pytest.raises(BadModel, match="not a file of arrays"):
        load(folder)
    (folder / MANIFEST).write_bytes(pickle.dumps(bomb))
    with pytest.raises(BadModel, match="not a manifest"):
        load(folder)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"features": ["likes_log", "no_such_feature"]}, "does not have"),
        ({"features": ["likes_log", "alike"]}, "not those of the manifest"),
        ({"features": ["alike", "alike"]}, "twice"),
        ({"features": []}, "twice"),
        ({"trees": 99}, "disagree"),
        ({"trees": "many"}, "trees is not a int"),
        ({"features_version": 99}, "this program reads"),
        ({"format": "other"}, "this program reads"),
        ({"format_version": 1}, "this program reads"),
        ({"surprise": 1}, "not a manifest"),
        ({"scale": 0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"kind": "film"}, "kind film"),
        ({"files": {MODEL: ""}}, "files must be"),
        ({"files": None}, "files is not"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(folder: Path, change: dict[str, object], reason: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | change))
    with pytest.raises(BadModel, match=reason):
        load(folder)


@pytest.mark.parametrize("content", [b"[1]", b"[" * 100_000, b'"x"', b"\xff", b"{}"])
def test_what_is_no_manifest_at_all_is_refused(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(BadModel):
        load(folder)


def line(text: bytes, name: bytes, value: bytes) -> bytes:
    """The model text with another value in the first line of that name, and lengths of trees that agree."""
    old = re.search(rb"^" + name + rb"=.*$", text, re.MULTILINE)
    assert old is not None
    new = name + b"=" + value
    changed = text[: old.start()] + new + text[old.end() :]
    if old.start() < text.index(b"\n\nTree=0"):
        return changed
    sizes = re.search(rb"^tree_sizes=(.*)$", changed, re.MULTILINE)
    assert sizes is not None
    first, *others = sizes[1].split(b" ")
    first = str(int(first) + len(new) - (old.end() - old.start())).encode()
    return changed.replace(sizes[0], b"tree_sizes=" + b" ".join([first, *others]), 1)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (b"leaf_value", b"nan 1 2", "leaf_value"),
        (b"leaf_value", b"1 2 3", "leaf_value"),
        (b"leaf_value", b"one", "not a number"),
        (b"threshold", b"nan", "threshold"),
        (b"split_feature", b"9999 0 0 0 0 0 0", "feature that there is not"),
        (b"decision_type", b"99 0 0 0 0 0 0", "decides"),
        (b"left_child", b"0 0 0 0 0 0 0", "not a tree"),
        (b"num_leaves", b"0", "no leaf"),
        (b"num_cat", b"3", "num_cat"),
        (b"Tree", b"7", "Tree is not"),
        (b"tree_sizes", b"1 2 3", "as long"),
        (b"version", b"v9", "version"),
        (b"objective", b"custom", "objective"),
        (b"max_feature_idx", b"1", "features"),
        (b"feature_infos", b"none", "each feature"),
    ],
)
def test_a_model_text_that_would_end_the_process_is_refused(
    folder: Path, name: bytes, value: bytes, reason: str
) -> None:
    rewrite(folder, MODEL, line((folder / MODEL).read_bytes(), name, value))
    with pytest.raises(BadModel, match=reason):
        load(folder)


def test_a_checksum_does_not_make_rubbish_a_model(folder: Path) -> None:
    good = (folder / MODEL).read_bytes()
    without = re.sub(rb"shrinkage=.*\n", b"shrimp=1    \n", good, count=1)
    for rubbish in (
        b"tree\nnonsense",
        b"\xff\xfe",
        good[: len(good) // 2],
        without,
        good.replace(b"v4\n", b"v4\n!\n", 1),
    ):
        rewrite(folder, MODEL, rubbish)
        with pytest.raises(BadModel, match="not a model"):
            load(folder)


def test_arrays_that_no_fit_gives_are_refused(folder: Path) -> None:
    good = arrays(folder)
    items = len(good["items"])

    def changed(name: str, value: object, place: tuple[int, ...] = (0,)) -> dict[str, Any]:
        column = good[name].copy()
        column[place] = value
        return {name: column}

    for change, reason in (
        (changed("popular.likes", np.nan), "not finite"),
        (changed("here.lift_item", np.inf, (0, 0)), "not finite"),
        (changed("alike.near", items, (0, 0)), "outside"),
        (changed("alike.near", -2, (0, 0)), "outside"),
        ({"popular.likes": good["popular.likes"][:-1]}, "should be"),
        ({"popular.likes": good["popular.likes"].astype(np.float64)}, "float64"),
        ({"here.lift_item": good["here.lift_item"][:, :-1]}, "should be"),
        ({"surprise": np.zeros(1)}, "foreign"),
        ({"items": good["items"][::-1].copy()}, "ascending"),
        ({"artists": good["artists"][None]}, "column"),
    ):
        rewrite_arrays(folder, good | change)
        with pytest.raises(BadModel, match=reason):
            load(folder)
    missing = dict(good)
    del missing["follow.next"]
    rewrite_arrays(folder, missing)
    with pytest.raises(BadModel, match="missing"):
        load(folder)


def test_missing_and_huge_files_are_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadModel, match="cannot be read"):
        load(tmp_path / "nowhere")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("items.npy", bytes(3_000_000))
    rewrite(folder, SIGNALS, packed.getvalue())
    with monkeypatch.context() as patch:
        patch.setattr(package, "MOST_BYTES", dict(package.MOST_BYTES) | {SIGNALS: 1_000_000})
        with pytest.raises(BadModel, match="unpacks to more"):
            load(folder)
        patch.setattr(package, "MOST_BYTES", dict(package.MOST_BYTES) | {MODEL: 10})
        with pytest.raises(BadModel, match="larger"):
            load(folder)


def test_what_would_be_refused_is_not_saved(tmp_path: Path) -> None:
    one = trained()
    other = fit(one.frame.select(["likes_log"]), rounds=2)
    with pytest.raises(BadModel, match="scale"):
        save(tmp_path, other, one.fit, version="v1", scale=float("inf"))
    assert not (tmp_path / MANIFEST).exists()


def test_a_ranker_that_tells_what_is_known_from_what_is_not_is_a_ranker() -> None:
    """LightGBM writes the threshold of such a split as `inf`."""
    known = np.random.default_rng(0).random(400) < 0.5
    x = np.where(known, np.random.default_rng(1).normal(size=400), np.nan).astype(np.float32)[:, None]
    query = np.repeat(np.arange(20), 20)
    frame = Frame(SERVED_NAMES[:1], x, query, query, known, np.full(20, 10), np.arange(20))
    text = fit(frame, rounds=2, parameters={"min_data_in_leaf": 1}).model_to_string()
    assert "threshold=inf" in text
    assert checked(text, SERVED_NAMES[:1])
