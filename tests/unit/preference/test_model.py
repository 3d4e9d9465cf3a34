from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_preference.model import LIMIT, Origin, Preference, Type, check_value, plan_learned, value_key

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def preference(value: str, weight: float, origin: Origin, *, type_: Type = Type.GENRE) -> Preference:
    return Preference(str(uuid4()), "p", type_, value, weight, origin, NOON, NOON, "e")


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
)
def test_learned_never_exceed_the_limit_nor_touch_set_and_the_weakest_give_way(
    own: dict[str, float], learned: dict[str, float], batch: dict[str, float]
) -> None:
    stored = [preference(value, weight, Origin.SET) for value, weight in own.items()]
    free = LIMIT - len(stored)
    stored += [preference(v, w, Origin.LEARNED) for v, w in learned.items() if v not in own][:free]
    drafts = [preference(value, weight, Origin.LEARNED) for value, weight in batch.items()]

    plan = plan_learned(stored, drafts)

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
    wanted = {each.value: each.weight for each in stored if each.origin is Origin.LEARNED}
    wanted |= {value: weight for value, weight in batch.items() if value not in own}
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
