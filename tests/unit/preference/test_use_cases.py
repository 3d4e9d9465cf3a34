from __future__ import annotations

from datetime import UTC, datetime

import pytest
from preferences_in_memory import InMemoryPreferences

from rhythmiq_mesh.children import Guard
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.errors import FailedPrecondition, NotFound
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.parents import ProfileState
from rhythmiq_preference.model import Evidence, Origin, Preference, Type
from rhythmiq_preference.use_cases import CountPreferences, DismissalUpkeep, WriteLearnedPreferences

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


async def dismissed(repository: InMemoryPreferences) -> None:
    """Leaves a dismissal: something was learned, and its listener has deleted it."""
    learned = Preference(
        "id", PROFILE, Type.GENRE, "Rock", 0.5, Origin.LEARNED, EPOCH, EPOCH, "e", Evidence(0.8, 5, EPOCH)
    )
    repository.stored[learned.id] = learned
    assert await repository.delete(learned)


async def test_what_a_listener_dismissed_goes_with_the_profile_only() -> None:
    repository = InMemoryPreferences()
    await dismissed(repository)
    answers = [ProfileState.DELETING, ProfileState.ACTIVE]
    upkeep = DismissalUpkeep(repository, Profiles(*answers, ProfileState.ABSENT), seconds=1)
    await upkeep.once()
    assert repository.dismissals, "nobody is deleting the profile"

    # A deletion that another kind of child makes fail …
    assert await CountPreferences(repository)(PROFILE) == 0
    await upkeep.once()
    await upkeep.once()
    assert repository.dismissals
    assert not await repository.doubted(9)

    # … and one that succeeds.
    await CountPreferences(repository)(PROFILE)
    await upkeep.once()
    assert not repository.dismissals


async def test_profile_that_still_has_preferences_is_not_in_doubt() -> None:
    repository = InMemoryPreferences()
    await dismissed(repository)
    write = WriteLearnedPreferences(repository, Guard(repository, Profiles(*[ProfileState.ACTIVE] * 2)), SystemClock())
    written = await write(PROFILE, [draft("Rock"), draft("Pop")], None)
    assert (len(written.preferences), written.deleted_by_listener_count) == (1, 1)
    assert await CountPreferences(repository)(PROFILE) == 1
    assert not await repository.doubted(9)
