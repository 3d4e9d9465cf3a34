from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_preference.model import (
    LIMIT,
    NO_EVIDENCE,
    Evidence,
    Origin,
    Preference,
    Type,
    check_evidence,
    check_value,
    plan_learned,
    value_key,
    weakest,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def preference(
    value: str, weight: float, origin: Origin, *, type_: Type = Type.GENRE, confidence: float = 1.0
) -> Preference:
    evidence = Evidence(confidence, 5, NOON) if origin is Origin.LEARNED else NO_EVIDENCE
    return Preference(str(uuid4()), "p", type_, value, weight, origin, NOON, NOON, "e", evidence)


@pytest.mark.parametrize(
    ("type_", "one", "other"),
    [
        (Type.GENRE, "Hip  Hop", "hip hop"),
        (Type.ARTIST, "Beyonce\u0301", "BEYONCÉ"),
        (Type.ARTIST, "Die Ärzte\u00a0", "die ärzte"),
        (Type.INSTRUMENT, "Straßenorgel", "STRASSENORGEL"),
        (Type.TEMPO, "090-120", "90-120"),
    ],
)
def test_spellings_of_one_value_compare_equal(type_: Type, one: str, other: str) -> None:
    assert value_key(type_, one) == value_key(type_, other)


@given(st.text(max_size=40))
def test_comparing_key_is_its_own_key(value: str) -> None:
    once = value_key(Type.ARTIST, value)
    assert value_key(Type.ARTIST, once) == once


def test_value_of_unicode_whitespace_alone_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"preference\.value"):
        check_value(preference("\u3000", 0.5, Origin.SET))


weights = st.floats(-1, 1)
values = st.sampled_from([f"genre {n}" for n in range(2 * LIMIT)])


@given(
    own=st.dictionaries(values, weights, max_size=LIMIT),
    learned=st.dictionaries(values, weights, max_size=LIMIT),
    batch=st.dictionaries(values, weights, min_size=1, max_size=LIMIT),
    dismissed=st.sets(values, max_size=LIMIT),
    replace=st.booleans(),
)
def test_learned_never_exceed_the_limit_nor_touch_set_and_the_weakest_give_way(
    own: dict[str, float], learned: dict[str, float], batch: dict[str, float], dismissed: set[str], replace: bool
) -> None:
    dismissed = dismissed - own.keys() - learned.keys()
    stored = [preference(value, weight, Origin.SET) for value, weight in own.items()]
    free = LIMIT - len(stored)
    stored += [preference(v, w, Origin.LEARNED) for v, w in learned.items() if v not in own][:free]
    drafts = [preference(value, weight, Origin.LEARNED) for value, weight in batch.items()]

    plan = plan_learned(stored, drafts, {(Type.GENRE, value) for value in dismissed}, replace=replace)

    after = {each.id: each for each in stored}
    for evicted in plan.evicted:
        assert after.pop(evicted.id).origin is Origin.LEARNED
    after |= {each.id: each for each in (*plan.updated, *plan.created)}
    assert len(after) <= LIMIT
    assert {each.value: each.weight for each in after.values() if each.origin is Origin.SET} == own
    assert len({each.key for each in after.values()}) == len(after)
    assert plan.kept_set_count == len(own.keys() & batch.keys())
    assert set(plan.kept) <= set(after.values())

    staying = {each.value: each.weight for each in after.values() if each.origin is Origin.LEARNED}
    wanted = {
        each.value: each.weight
        for each in stored
        if each.origin is Origin.LEARNED and (each.value in batch or not replace)
    }
    wanted |= {value: weight for value, weight in batch.items() if value not in own and value not in dismissed}
    assert plan.deleted_by_listener_count == len(batch.keys() & dismissed)
    assert staying.items() <= wanted.items()
    left_out = [abs(weight) for value, weight in wanted.items() if value not in staying]
    assert plan.left_out_count == len(left_out)
    if left_out:
        assert len(after) == LIMIT
        assert max(left_out) <= min((abs(weight) for weight in staying.values()), default=1.0)


def test_learning_the_same_again_keeps_etag_and_times() -> None:
    stored = preference("Rock", 0.5, Origin.LEARNED)
    plan = plan_learned([stored], [preference("Rock", 0.5, Origin.LEARNED)])
    assert plan.kept == (stored,)
    assert (plan.updated, plan.created, plan.evicted) == ((), (), ())


def test_of_equal_weights_the_stored_stay() -> None:
    stored = [preference(f"genre {n}", 0.5, Origin.LEARNED) for n in range(LIMIT)]
    plan = plan_learned(stored, [preference("new", -0.5, Origin.LEARNED)])
    assert (plan.created, plan.evicted, plan.left_out_count) == ((), (), 1)


def test_strength_is_weight_times_confidence_and_the_weakest_goes() -> None:
    unsure = preference("unsure", -0.9, Origin.LEARNED, confidence=0.2)
    faint = preference("faint", 0.3, Origin.LEARNED, confidence=0.9)
    assert weakest([faint, unsure]) == unsure
    assert weakest([]) is None
    full = [preference(f"own {n}", 0.0, Origin.SET) for n in range(LIMIT - 1)]
    plan = plan_learned(full, [unsure, faint])
    assert (plan.created, plan.left_out_count) == ((faint,), 1)


def test_replacing_removes_what_is_not_borne_out_any_more() -> None:
    stored = [preference(value, 0.5, Origin.LEARNED) for value in ("Rock", "Pop")]
    plan = plan_learned(stored, [preference("pop", 0.6, Origin.LEARNED)], replace=True)
    assert plan.evicted == (stored[0],)
    assert [(each.id, each.weight) for each in plan.updated] == [(stored[1].id, 0.6)]
    assert plan_learned(stored, [], replace=True).evicted == tuple(stored)
    assert plan_learned(stored, []).evicted == ()


def test_new_evidence_for_the_same_weight_is_a_change() -> None:
    stored = preference("Rock", 0.5, Origin.LEARNED, confidence=0.5)
    plan = plan_learned([stored], [preference("Rock", 0.5, Origin.LEARNED, confidence=0.6)])
    assert [each.evidence.confidence for each in plan.updated] == [0.6]


@pytest.mark.parametrize(
    ("evidence", "field"),
    [
        (Evidence(float("nan"), 1), "confidence"),
        (Evidence(1.5, 1), "confidence"),
        (Evidence(-0.1, 1), "confidence"),
        (Evidence(0.5, -1), "evidence_count"),
    ],
)
def test_evidence_that_cannot_be_is_refused_by_name(evidence: Evidence, field: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"batch\.{field}"):
        check_evidence(evidence, field="batch")
