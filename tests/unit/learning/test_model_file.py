"""A model file is used only if it is exactly what was saved, for exactly these features."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from rhythmiq_recommender.learning import model_file
from rhythmiq_recommender.learning.features import Frame
from rhythmiq_recommender.learning.model_file import MANIFEST, MODEL, BadModel, load, save
from rhythmiq_recommender.learning.ranker import fit, predict


def frame(names: tuple[str, ...] = ("item_events", "ease"), rows: int = 400) -> Frame:
    chance = np.random.default_rng(0)
    x = chance.normal(size=(rows, len(names))).astype(np.float32)
    query = np.repeat(np.arange(rows // 20), 20)
    label = x[:, 0] + chance.normal(size=rows) > 1
    return Frame(names, x, query, np.arange(rows), label, np.bincount(query[label], minlength=rows // 20), query[::20])


def trained() -> lgb.Booster:
    return fit(frame(), rounds=5, parameters={"min_data_in_leaf": 5})


def test_a_saved_model_is_loaded_and_scores_the_same(tmp_path: Path) -> None:
    booster = trained()
    manifest = save(tmp_path, booster, version="v1", metrics={"ndcg": 0.4}, settings={"rounds": 5})
    model = load(tmp_path)
    assert model.manifest == manifest
    assert np.array_equal(predict(model.booster, frame().x), predict(booster, frame().x))
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST, MODEL]


def test_a_truncated_or_changed_model_is_refused(tmp_path: Path) -> None:
    save(tmp_path, trained(), version="v1")
    whole = (tmp_path / MODEL).read_bytes()
    for broken in (whole[:-100], whole.replace(b"leaf_value=", b"leaf_value=9", 1), b""):
        (tmp_path / MODEL).write_bytes(broken)
        with pytest.raises(BadModel, match="truncated or changed"):
            load(tmp_path)


def test_a_foreign_file_is_refused_and_never_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "exploded",))  # type: ignore[return-value]

    save(tmp_path, trained(), version="v1")
    (tmp_path / MANIFEST).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(BadModel, match="not a manifest"):
        load(tmp_path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"features": ["item_events", "no_such_feature"]}, "does not have"),
        ({"features": ["ease", "item_events"]}, "disagree"),
        ({"features": ["ease", "ease"]}, "twice"),
        ({"trees": 99}, "disagree"),
        ({"features_version": 99}, "this program reads"),
        ({"format": "other"}, "this program reads"),
        ({"surprise": 1}, "not a manifest"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    save(tmp_path, trained(), version="v1")
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | change))
    with pytest.raises(BadModel, match=reason):
        load(tmp_path)


def test_a_checksum_does_not_make_rubbish_a_model(tmp_path: Path) -> None:
    import hashlib

    save(tmp_path, trained(), version="v1")
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    for rubbish in (b"tree\nnonsense", b"\xff\xfe"):
        (tmp_path / MODEL).write_bytes(rubbish)
        (tmp_path / MANIFEST).write_text(json.dumps(manifest | {"sha256": hashlib.sha256(rubbish).hexdigest()}))
        with pytest.raises(BadModel):
            load(tmp_path)


def test_a_missing_or_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadModel, match="cannot be read"):
        load(tmp_path)
    save(tmp_path, trained(), version="v1")
    monkeypatch.setattr(model_file, "MOST_BYTES", 10)
    with pytest.raises(BadModel, match="larger"):
        load(tmp_path)


def test_a_model_with_unknown_features_is_not_saved(tmp_path: Path) -> None:
    booster = fit(frame(("item_events", "made_up")), rounds=2, parameters={"min_data_in_leaf": 5})
    with pytest.raises(BadModel, match="made_up"):
        save(tmp_path, booster, version="v1")
