"""A preference and its rules."""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rhythmiq_mesh.errors import AlreadyExists, InvalidArgument, NotFound, ResourceExhausted
from rhythmiq_mesh.names import child_name, profile_name

RESOURCE_TYPE = "rhythmiq.dev/Preference"
COLLECTION = "preferences"
LIMIT = 100
"""Most preferences of one profile, set and learned together."""


class Type(Enum):
    """What a preference is about. The value of a TEMPO is a BPM range, `90-120`."""

    GENRE = "GENRE"
    TEMPO = "TEMPO"
    INSTRUMENT = "INSTRUMENT"
    ARTIST = "ARTIST"


class Origin(Enum):
    """SET by the listener or LEARNED by the application."""

    SET = "SET"
    LEARNED = "LEARNED"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a learned preference rests on: how sure it is (0 to 1), so many interactions, the newest of them at `time`.

    NO_EVIDENCE for one that was set: what a listener says needs none.
    """

    confidence: float = 0.0
    count: int = 0
    time: datetime | None = None


NO_EVIDENCE = Evidence()

Key = tuple[Type, str]
"""What is unique in a profile: the type, and the value as `value_key` spells it."""


@dataclass(frozen=True, slots=True)
class Preference:
    """A leaning. `weight` from -1 (avoid) to 1 (seek)."""

    id: str
    profile_id: str
    type: Type
    value: str
    weight: float
    origin: Origin
    create_time: datetime
    update_time: datetime
    etag: str
    evidence: Evidence = NO_EVIDENCE

    @property
    def name(self) -> str:
        """The resource name."""
        return child_name(self.profile_id, COLLECTION, self.id)

    @property
    def key(self) -> Key:
        """What is unique in a profile."""
        return self.type, value_key(self.type, self.value)

    @property
    def strength(self) -> float:
        """Of a learned one, 0 to 1: the weakest gives way where the limit is reached."""
        return abs(self.weight) * self.evidence.confidence


def value_key(type_: Type, value: str) -> str:
    """What values are compared by: Unicode NFC, case-folded, inner whitespace one space; tempo ranges as numbers."""
    if type_ is Type.TEMPO:
        return "-".join(str(int(bound)) for bound in value.split("-"))
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).casefold())
    return " ".join(folded.split())


def check_value(preference: Preference, *, field: str = "preference") -> None:
    """Raises InvalidArgument for a value of Unicode whitespace alone, which the schema's pattern cannot see."""
    if not preference.key[1]:
        raise InvalidArgument.of(f"{field}.value", "must not be blank")


def check_evidence(evidence: Evidence, *, field: str) -> None:
    """Raises InvalidArgument for what the schema lets pass, because from a listener it is ignored."""
    if not (math.isfinite(evidence.confidence) and 0 <= evidence.confidence <= 1):
        raise InvalidArgument.of(f"{field}.confidence", "must be a number from 0 to 1")
    if evidence.count < 0:
        raise InvalidArgument.of(f"{field}.evidence_count", "must not be negative")


def weakest(learned: Iterable[Preference]) -> Preference | None:
    """The one to give way: of the smallest strength, at equal strength the one with the oldest evidence."""
    return min(learned, key=_staying, default=None)


def _staying(preference: Preference) -> tuple[float, float, datetime, str]:
    time = preference.evidence.time
    return preference.strength, time.timestamp() if time else 0.0, preference.create_time, preference.id


@dataclass(frozen=True, slots=True)
class LearnedPlan:
    """What a batch of learned preferences does to a profile.

    `kept` are the batch's that will be stored as they are given or were stored alike; of these, `created` are new and
    `updated` change a stored one. `evicted` are stored ones that go: pushed out by the limit, or replaced.
    """

    kept: tuple[Preference, ...]
    created: tuple[Preference, ...]
    updated: tuple[Preference, ...]
    evicted: tuple[Preference, ...]
    kept_set_count: int
    left_out_count: int
    deleted_by_listener_count: int


def plan_learned(
    stored: Iterable[Preference], batch: Sequence[Preference], dismissed: Collection[Key] = (), *, replace: bool = False
) -> LearnedPlan:
    """Decides which learned preferences a profile has after `batch` (drafts with ids, times and etags of their own).

    Set ones are never touched, and what the listener has `dismissed` is not learned again. A draft of the type and
    value of a learned one updates it; of several such drafts the last counts. With `replace`, learned ones that are
    not in the batch go. If there are more than LIMIT in all, the learned ones of the smallest strength are left out,
    stored or new; at equal strength the stored stay.
    """
    by_key = {preference.key: preference for preference in stored}
    drafts = {draft.key: draft for draft in batch}
    set_keys = {key for key, preference in by_key.items() if preference.origin is Origin.SET}
    learned = {key: preference for key, preference in by_key.items() if key not in set_keys}
    refused = {key for key in drafts if key in dismissed} - set_keys
    wanted = {
        key: _learned_again(learned[key], draft) if key in learned else draft
        for key, draft in drafts.items()
        if key not in set_keys | refused
    }
    remaining = {key: preference for key, preference in learned.items() if key in wanted or not replace}
    # The sort is stable: at equal strength the order of this union decides, stored ones first.
    pool = sorted((remaining | wanted).items(), key=lambda item: -item[1].strength)
    room = max(LIMIT - len(set_keys), 0)
    staying, leaving = dict(pool[:room]), dict(pool[room:])
    return LearnedPlan(
        kept=tuple(preference for key, preference in wanted.items() if key in staying),
        created=tuple(preference for key, preference in wanted.items() if key in staying and key not in learned),
        updated=tuple(
            preference
            for key, preference in wanted.items()
            if key in staying and key in learned and preference is not learned[key]
        ),
        evicted=tuple(preference for key, preference in learned.items() if key not in staying),
        kept_set_count=len(drafts.keys() & set_keys),
        left_out_count=len(leaving),
        deleted_by_listener_count=len(refused),
    )


def _learned_again(stored: Preference, draft: Preference) -> Preference:
    if (stored.value, stored.weight, stored.evidence) == (draft.value, draft.weight, draft.evidence):
        return stored
    return dataclasses.replace(
        stored,
        value=draft.value,
        weight=draft.weight,
        evidence=draft.evidence,
        update_time=draft.update_time,
        etag=draft.etag,
    )


class PreferenceNotFound(NotFound):
    """No such preference."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} does not exist: list the preferences of the profile",
            resource_type=RESOURCE_TYPE,
            resource_name=name,
            reason="PREFERENCE_NOT_FOUND",
        )


class PreferenceExists(AlreadyExists):
    """The profile has a preference of this type and value, set or learned."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is a preference of this type and value already: update {name}",
            resource_type=RESOURCE_TYPE,
            resource_name=name,
            reason="PREFERENCE_EXISTS",
        )


class PreferenceLimitReached(ResourceExhausted):
    """The profile has LIMIT preferences."""

    def __init__(self, profile_id: str) -> None:
        super().__init__(
            f"{profile_name(profile_id)} has {LIMIT} preferences, the most there can be: delete one first",
            reason="PREFERENCE_LIMIT_REACHED",
        )
