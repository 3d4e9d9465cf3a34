from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_variable.model import KINDS, MAX_AHEAD, Draft, Kind, Value, ValueType, check_draft

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NUMBERS = [kind for kind, rule in KINDS.items() if rule.value_type is ValueType.NUMBER]


def draft(kind: Kind, value: Value, value_type: ValueType | None = None, at: datetime = NOW) -> Draft:
    return Draft("readings[3]", kind, value_type or KINDS[kind].value_type, value, at, "phone")


def test_every_kind_has_a_rule_and_every_number_a_unit_and_a_range() -> None:
    assert list(KINDS) == list(Kind)
    for kind in NUMBERS:
        rule = KINDS[kind]
        assert rule.unit
        assert rule.min_value is not None
        assert rule.max_value is not None
        assert rule.min_value < rule.max_value


@pytest.mark.parametrize("kind", NUMBERS)
def test_both_ends_of_the_range_are_valid_and_what_lies_beyond_names_field_and_rule(kind: Kind) -> None:
    rule = KINDS[kind]
    assert rule.min_value is not None
    assert rule.max_value is not None
    check_draft(draft(kind, rule.min_value), NOW)
    check_draft(draft(kind, rule.max_value), NOW)
    for value in (rule.min_value - 0.001, rule.max_value + 0.001, float("nan"), float("inf"), float("-inf")):
        with pytest.raises(InvalidArgument) as caught:
            check_draft(draft(kind, value), NOW)
        assert caught.value.reason == "VALUE_OUT_OF_RANGE"
        assert caught.value.violations[0].field == "readings[3].number"
        assert f"from {rule.min_value:g} to {rule.max_value:g}" in caught.value.violations[0].rule


@pytest.mark.parametrize("kind", Kind)
def test_value_of_another_type_is_refused_naming_the_field_that_was_given(kind: Kind) -> None:
    for value_type in ValueType:
        if value_type is KINDS[kind].value_type:
            continue
        with pytest.raises(InvalidArgument) as caught:
            check_draft(draft(kind, 1, value_type), NOW)
        assert caught.value.reason == "WRONG_VALUE_TYPE"
        assert caught.value.violations[0].field == f"readings[3].{value_type.value}"
        assert KINDS[kind].value_type.value in caught.value.violations[0].rule


def test_five_minutes_ahead_are_allowed_and_no_more() -> None:
    check_draft(draft(Kind.AMBIENT_NOISE, 60, at=NOW + MAX_AHEAD), NOW)
    with pytest.raises(InvalidArgument) as caught:
        check_draft(draft(Kind.AMBIENT_NOISE, 60, at=NOW + MAX_AHEAD + timedelta(milliseconds=1)), NOW)
    assert caught.value.reason == "OBSERVED_IN_FUTURE"
    assert caught.value.violations[0].field == "readings[3].observe_time"
