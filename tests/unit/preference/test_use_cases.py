from __future__ import annotations

from datetime import UTC, datetime

import pytest
from preferences_in_memory import InMemoryPreferences

from rhythmiq_mesh.children import Guard
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.errors import FailedPrecondition, NotFound
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.parents import ProfileState
from rhythmiq_preference.model import Origin, Preference, Type
from rhythmiq_preference.use_cases import WriteLearnedPreferences

PROFILE = "11111111-1111-1111-1111-111111111111"
KEY = RequestKey("scope", "id", b"fingerprint")
EPOCH = datetime.fromtimestamp(0, UTC)


class Profiles:
    """Answers with what the test put in, one after the other."""

    def __init__(self, *answers: ProfileState) -> None:
        self._answers = list(answers)

    async def state(self, profile_id: str) -> ProfileState:
        return self._answers.pop(0)


def draft(value: str = "Rock", weight: float = 0.5) -> Preference:
    return Preference("", PROFILE, Type.GENRE, value, weight, Origin.SET, EPOCH, EPOCH, "")


async def test_batch_is_taken_back_when_the_profile_goes_meanwhile() -> None:
    repository = InMemoryPreferences()
    profiles = Profiles(ProfileState.ACTIVE, ProfileState.DELETING)
    write = WriteLearnedPreferences(repository, Guard(repository, profiles), SystemClock())
    with pytest.raises(FailedPrecondition):
        await write(PROFILE, [draft("a"), draft("b")], KEY)
    assert not repository.stored


async def test_batch_for_an_absent_profile_stores_nothing() -> None:
    repository = InMemoryPreferences()
    write = WriteLearnedPreferences(repository, Guard(repository, Profiles(ProfileState.ABSENT)), SystemClock())
    with pytest.raises(NotFound):
        await write(PROFILE, [draft()], None)
    assert not repository.stored
