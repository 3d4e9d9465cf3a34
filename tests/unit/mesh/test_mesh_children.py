"""One promise for the children of every service: none outlives its profile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from children_in_memory import InMemoryChildren
from eventually import eventually
from preferences_in_memory import InMemoryPreferences
from tunevectors_in_memory import InMemoryTuneVectors
from variables_in_memory import InMemoryVariables

from rhythmiq_mesh.children import CREATE_TAKES, Guard, Upkeep
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.deadline import remaining, set_deadline
from rhythmiq_mesh.errors import DeadlineExceeded, FailedPrecondition, MeshError, NotFound, Unavailable
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.parents import ProfileState
from rhythmiq_preference.model import Origin, Preference, Type
from rhythmiq_preference.use_cases import CreatePreference
from rhythmiq_tunevector.model import Kind, Mode, TuneVector
from rhythmiq_tunevector.use_cases import CreateTuneVector
from rhythmiq_variable.model import Kind as VariableKind
from rhythmiq_variable.use_cases import CreateVariable

PROFILE = "11111111-1111-1111-1111-111111111111"
KEY = RequestKey("scope", "id", b"fingerprint")
EPOCH = datetime.fromtimestamp(0, UTC)
AWAY = Unavailable("the profile service is away: try again")
ACTIVE, DELETING, ABSENT = ProfileState.ACTIVE, ProfileState.DELETING, ProfileState.ABSENT


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


@dataclass
class Service:
    """A repository, and how its service creates a child in it."""

    children: InMemoryChildren[Any]
    creating: Callable[[Guard, RequestKey | None], Awaitable[Any]]

    async def create(self, profiles: Profiles, key: RequestKey | None = None) -> Any:
        return await self.creating(Guard(self.children, profiles), key)

    def upkeep(self, *answers: ProfileState | MeshError, later: timedelta = CREATE_TAKES * 2) -> Upkeep:
        return Upkeep(self.children, Profiles(*answers), Later(later), 0.001)


@dataclass
class Later:
    """A clock that is fast."""

    by: timedelta

    def now(self) -> datetime:
        return SystemClock().now() + self.by


def preferences() -> Service:
    repository = InMemoryPreferences()
    draft = Preference("", PROFILE, Type.GENRE, "Rock", 0.5, Origin.SET, EPOCH, EPOCH, "")
    return Service(repository, lambda guard, key: CreatePreference(repository, guard, SystemClock())(draft, key))


def variables() -> Service:
    repository = InMemoryVariables()

    async def create(guard: Guard, key: RequestKey | None) -> object:
        creating = CreateVariable(repository, guard, SystemClock())
        return await creating(PROFILE, VariableKind.SPEED, "v1", timedelta(days=1), key)

    return Service(repository, create)


def tune_vectors() -> Service:
    repository = InMemoryTuneVectors()
    draft = TuneVector("", PROFILE, "", Kind.PLAYLIST, Mode.AI_DRIVEN, 5, EPOCH, EPOCH, "")
    return Service(repository, lambda guard, key: CreateTuneVector(repository, guard, SystemClock())(draft, key))


@pytest.fixture(params=[preferences, variables, tune_vectors], ids=lambda make: make.__name__)
def service(request: pytest.FixtureRequest) -> Service:
    made: Service = request.param()
    return made


@pytest.mark.parametrize(
    ("answer", "expected"), [(ABSENT, NotFound), (DELETING, FailedPrecondition), (AWAY, Unavailable)]
)
async def test_child_is_taken_back_unless_its_profile_is_active(
    service: Service, answer: ProfileState | MeshError, expected: type[MeshError]
) -> None:
    with pytest.raises(expected):
        await service.create(Profiles(answer), KEY)
    assert not service.children.stored
    created = await service.create(Profiles(ACTIVE), KEY)
    assert list(service.children.stored) == [created.id]


async def test_caller_who_gives_up_leaves_no_unchecked_child(service: Service) -> None:
    profiles = Profiles(ABSENT)
    profiles.open.clear()
    call = asyncio.create_task(service.create(profiles))
    await profiles.asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert service.children.stored
    profiles.open.set()
    await eventually(lambda: not service.children.stored)


async def test_create_and_its_check_outlast_the_callers_deadline(service: Service) -> None:
    set_deadline(0.0)
    with pytest.raises(DeadlineExceeded):
        remaining(1)
    created = await service.create(Profiles(ACTIVE))
    assert list(service.children.stored) == [created.id]


async def test_answered_replay_keeps_the_first_call_from_taking_back(service: Service) -> None:
    slow = Profiles(AWAY)
    slow.open.clear()
    first = asyncio.create_task(service.create(slow, KEY))
    await slow.asked.wait()
    replay = await service.create(Profiles(ACTIVE), KEY)
    slow.open.set()
    assert await first == replay
    assert list(service.children.stored) == [replay.id]


async def test_replay_after_a_deletion_gets_the_first_answer_though_the_profile_service_is_away(
    service: Service,
) -> None:
    first = await service.create(Profiles(ACTIVE), KEY)
    service.children.stored.clear()
    assert await service.create(Profiles(AWAY), KEY) == first
    assert not service.children.stored


async def test_insert_of_unknown_outcome_is_taken_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    create = service.children.create

    async def uncertain(child: Any, key: RequestKey | None) -> Any:
        await create(child, key)
        raise Unavailable("the database is away: try again")

    monkeypatch.setattr(service.children, "create", uncertain)
    with pytest.raises(Unavailable):
        await service.create(Profiles(ACTIVE), KEY)
    assert not service.children.stored


@pytest.mark.parametrize(
    ("state", "stays", "confirmed"), [(ACTIVE, True, True), (DELETING, True, False), (ABSENT, False, False)]
)
async def test_upkeep_removes_what_an_interrupted_create_left_without_a_profile(
    service: Service, state: ProfileState, stays: bool, confirmed: bool
) -> None:
    created = await service.create(Profiles(ACTIVE), KEY)
    await service.upkeep(state).once()
    assert (created.id in service.children.stored) == stays
    assert (created.id not in service.children.marks) == (confirmed or not stays)


async def test_upkeep_leaves_a_create_in_progress_alone(service: Service) -> None:
    created = await service.create(Profiles(ACTIVE))
    await service.upkeep(ABSENT, later=timedelta(0)).once()
    assert list(service.children.stored) == [created.id]


async def test_upkeep_goes_on_after_the_profile_service_was_away(service: Service) -> None:
    await service.create(Profiles(ACTIVE))
    upkeep = asyncio.ensure_future(service.upkeep(AWAY, ABSENT)())
    await eventually(lambda: not service.children.stored)
    upkeep.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upkeep
