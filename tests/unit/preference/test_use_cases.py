from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from preferences_in_memory import InMemoryPreferences

from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.deadline import remaining, set_deadline
from rhythmiq_mesh.errors import FailedPrecondition, MeshError, NotFound, Unavailable
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.parents import ProfileState
from rhythmiq_preference.guard import CREATE_TAKES, Guard, Upkeep
from rhythmiq_preference.model import Origin, Preference, Type
from rhythmiq_preference.use_cases import CreatePreference, DeletePreference, WriteLearnedPreferences

PROFILE = "11111111-1111-1111-1111-111111111111"
KEY = RequestKey("scope", "id", b"fingerprint")
EPOCH = datetime.fromtimestamp(0, UTC)


class Profiles:
    """Answers with what the test put in, in order, the last again and again; waits while `open` is not set."""

    def __init__(self, *answers: ProfileState | MeshError) -> None:
        self._answers = list(answers)
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def state(self, profile_id: str) -> ProfileState:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.asked.set()
        await self.open.wait()
        remaining(1.0)
        if isinstance(answer, MeshError):
            raise answer
        return answer


AWAY = Unavailable("the profile service is away: try again")


def draft(value: str = "Rock", weight: float = 0.5) -> Preference:
    return Preference("", PROFILE, Type.GENRE, value, weight, Origin.SET, EPOCH, EPOCH, "")


def creating(repository: InMemoryPreferences, profiles: Profiles) -> CreatePreference:
    return CreatePreference(repository, Guard(repository, profiles), SystemClock())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(ProfileState.ABSENT, NotFound), (ProfileState.DELETING, FailedPrecondition), (AWAY, Unavailable)],
)
async def test_preference_is_taken_back_unless_its_profile_is_active(
    answer: ProfileState | MeshError, expected: type[MeshError]
) -> None:
    repository = InMemoryPreferences()
    with pytest.raises(expected):
        await creating(repository, Profiles(answer))(draft(), KEY)
    assert not repository.stored
    created = await creating(repository, Profiles(ProfileState.ACTIVE))(draft(), KEY)
    assert list(repository.stored) == [created.id]


async def test_caller_who_gives_up_leaves_no_unchecked_preference() -> None:
    repository, profiles = InMemoryPreferences(), Profiles(ProfileState.ABSENT)
    profiles.open.clear()
    call = asyncio.create_task(creating(repository, profiles)(draft(), None))
    await profiles.asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert repository.stored
    profiles.open.set()
    await asyncio.wait([task for task in asyncio.all_tasks() if task is not asyncio.current_task()], timeout=5)
    assert not repository.stored


async def test_check_of_the_profile_outlasts_the_callers_deadline() -> None:
    repository = InMemoryPreferences()
    set_deadline(0.0)
    created = await creating(repository, Profiles(ProfileState.ACTIVE))(draft(), None)
    assert list(repository.stored) == [created.id]


async def test_answered_replay_keeps_the_first_call_from_taking_back() -> None:
    repository, slow = InMemoryPreferences(), Profiles(AWAY)
    slow.open.clear()
    first = asyncio.create_task(creating(repository, slow)(draft(), KEY))
    await slow.asked.wait()
    replay = await creating(repository, Profiles(ProfileState.ACTIVE))(draft(), KEY)
    slow.open.set()
    assert await first == replay
    assert list(repository.stored) == [replay.id]


async def test_replay_after_a_deletion_returns_the_first_answer_though_the_profile_service_is_away() -> None:
    repository = InMemoryPreferences()
    first = await creating(repository, Profiles(ProfileState.ACTIVE))(draft(), KEY)
    await DeletePreference(repository)(PROFILE, first.id, "")
    assert await creating(repository, Profiles(AWAY))(draft(), KEY) == first
    assert not repository.stored


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


class Later:
    """A clock that shows when upkeep may look at what was created just now."""

    def now(self) -> datetime:
        return SystemClock().now() + CREATE_TAKES * 2


@pytest.mark.parametrize(
    ("state", "stays", "confirmed"),
    [
        (ProfileState.ACTIVE, True, True),
        (ProfileState.DELETING, True, False),
        (ProfileState.ABSENT, False, False),
    ],
)
async def test_upkeep_removes_what_an_interrupted_create_left_without_a_profile(
    state: ProfileState, stays: bool, confirmed: bool
) -> None:
    repository = InMemoryPreferences()
    created = await creating(repository, Profiles(ProfileState.ACTIVE))(draft(), KEY)
    await Upkeep(repository, Profiles(state), Later(), 1.0).once()
    assert (created.id in repository.stored) == stays
    if stays:
        assert await repository.take_back(PROFILE, [created.id]) != confirmed


async def test_upkeep_leaves_a_create_in_progress_alone() -> None:
    repository = InMemoryPreferences()
    created = await creating(repository, Profiles(ProfileState.ACTIVE))(draft(), None)
    await Upkeep(repository, Profiles(ProfileState.ABSENT), SystemClock(), 1.0).once()
    assert list(repository.stored) == [created.id]


async def test_upkeep_goes_on_after_the_profile_service_was_away() -> None:
    repository = InMemoryPreferences()
    await creating(repository, Profiles(ProfileState.ACTIVE))(draft(), None)
    upkeep = asyncio.create_task(Upkeep(repository, Profiles(AWAY, ProfileState.ABSENT), Later(), 0.001)())
    async with asyncio.timeout(5):
        while True:
            if not repository.stored:
                break
            await asyncio.sleep(0.001)
    upkeep.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upkeep
