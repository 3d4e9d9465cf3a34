from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from rhythmiq.preference.v1 import preference_pb2
from rhythmiq.tunevector.v1 import tunevector_pb2
from rhythmiq.type.v1 import audio_pb2
from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_mesh.masks import merge

Preference = preference_pb2.Preference
TuneVector = tunevector_pb2.TuneVector


def stored_vector() -> tunevector_pb2.TuneVector:
    return TuneVector(
        name="profiles/p/tuneVectors/t",
        kind=TuneVector.PLAYLIST,
        mode=TuneVector.AI_DRIVEN,
        display_name="evening",
        length=tunevector_pb2.Length(count=20),
        energy_curve=[0.1, 0.9],
        tuning=audio_pb2.Tuning(features={"tempo": audio_pb2.FeatureTarget(target=120)}),
    )


def test_weight_zero_is_a_value_not_an_absence() -> None:
    stored = Preference(type=Preference.GENRE, value="jazz", weight=0.5)
    merged = merge(stored, Preference(weight=0), FieldMask(), field="preference")
    assert merged.weight == 0
    assert merged.HasField("weight")
    assert merged.value == "jazz"


def test_masked_but_unset_field_is_cleared() -> None:
    merged = merge(
        stored_vector(), TuneVector(), FieldMask(paths=["display_name", "energy_curve"]), field="tune_vector"
    )
    assert merged.display_name == ""
    assert not merged.energy_curve
    assert merged.length.count == 20


def test_clearing_a_required_field_is_refused_after_merging() -> None:
    with pytest.raises(InvalidArgument) as refused:
        merge(stored_vector(), TuneVector(), FieldMask(paths=["length"]), field="tune_vector")
    assert refused.value.violations[0].field == "tune_vector.length"


def test_nested_path_changes_only_that_member() -> None:
    patch = TuneVector(length=tunevector_pb2.Length(count=7))
    merged = merge(stored_vector(), patch, FieldMask(paths=["length.count"]), field="tune_vector")
    assert merged.length.count == 7


def test_map_and_list_are_replaced_as_a_whole() -> None:
    patch = TuneVector(
        tuning=audio_pb2.Tuning(features={"energy": audio_pb2.FeatureTarget(target=0.5)}), energy_curve=[0.2, 0.3, 0.4]
    )
    merged = merge(stored_vector(), patch, FieldMask(paths=["tuning.features", "energy_curve"]), field="tune_vector")
    assert list(merged.tuning.features) == ["energy"]
    assert list(merged.energy_curve) == [0.2, 0.3, 0.4]


def test_star_replaces_everything_but_keeps_what_is_immutable() -> None:
    patch = TuneVector(mode=TuneVector.USER_GUIDED, length=tunevector_pb2.Length(count=3))
    merged = merge(stored_vector(), patch, FieldMask(paths=["*"]), field="tune_vector")
    assert (merged.kind, merged.mode, merged.display_name) == (TuneVector.PLAYLIST, TuneVector.USER_GUIDED, "")
    assert merged.name == "profiles/p/tuneVectors/t"


def test_immutable_field_may_be_repeated_but_not_changed() -> None:
    same = TuneVector(kind=TuneVector.PLAYLIST, display_name="x")
    assert merge(stored_vector(), same, FieldMask(), field="tune_vector").display_name == "x"
    with pytest.raises(InvalidArgument) as refused:
        merge(stored_vector(), TuneVector(kind=TuneVector.PODCAST), FieldMask(), field="tune_vector")
    assert refused.value.reason == "IMMUTABLE_FIELD"
    assert refused.value.violations[0].field == "tune_vector.kind"


@pytest.mark.parametrize("path", ["nope", "length.nope", "tuning.features.tempo", "display_name.x", "pins.item"])
def test_unknown_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        merge(stored_vector(), TuneVector(display_name="x"), FieldMask(paths=[path]), field="tune_vector")
    assert refused.value.reason == "UNKNOWN_MASK_PATH"
    assert path not in refused.value.message


@pytest.mark.parametrize("mask", [[], ["etag"], ["name", "uid", "create_time"]])
def test_patch_without_a_writable_field_is_refused(mask: list[str]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        merge(stored_vector(), TuneVector(name="n", etag="e"), FieldMask(paths=mask), field="tune_vector")
    assert refused.value.reason == "NOTHING_TO_CHANGE"


def test_merge_leaves_its_inputs_alone() -> None:
    stored, patch = stored_vector(), TuneVector(display_name="x")
    merge(stored, patch, FieldMask(), field="tune_vector")
    assert stored == stored_vector()
    assert patch == TuneVector(display_name="x")
