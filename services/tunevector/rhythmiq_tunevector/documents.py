"""Tune vectors as BSON: durations in microseconds, enumerations and times of day by name."""

from __future__ import annotations

from dataclasses import asdict
from datetime import time, timedelta

from rhythmiq_mesh.mongo import Document
from rhythmiq_tunevector.model import (
    Degradation,
    Environment,
    EnvironmentUse,
    Explicit,
    FeatureTarget,
    Filter,
    Kind,
    Mode,
    Pin,
    PreferenceUse,
    Reason,
    Seeds,
    TunedItem,
    TuneVector,
    TuningRecord,
)

_MICROSECOND = timedelta(microseconds=1)


def document_of(vector: TuneVector) -> Document:
    """The stored form."""
    return {
        "_id": vector.id,
        "profile_id": vector.profile_id,
        "display_name": vector.display_name,
        "kind": vector.kind.value,
        "mode": vector.mode.value,
        "tuning": {name: asdict(target) for name, target in vector.tuning.items()},
        "seeds": asdict(vector.seeds),
        "filter": {**asdict(vector.filter), "explicit": vector.filter.explicit and vector.filter.explicit.value},
        "length": _length_document(vector.length),
        "energy_curve": vector.energy_curve,
        "pins": [asdict(pin) for pin in vector.pins],
        "items": [{**asdict(item), "duration": _microseconds(item.duration)} for item in vector.items],
        "last_tuning": vector.last_tuning and _record_document(vector.last_tuning),
        "create_time": vector.create_time,
        "update_time": vector.update_time,
        "etag": vector.etag,
    }


def vector_of(document: Document) -> TuneVector:
    """The tune vector in a document; without items where they were left out."""
    length, record = document["length"], document["last_tuning"]
    return TuneVector(
        id=document["_id"],
        profile_id=document["profile_id"],
        display_name=document["display_name"],
        kind=Kind(document["kind"]),
        mode=Mode(document["mode"]),
        tuning={name: FeatureTarget(**target) for name, target in document["tuning"].items()},
        seeds=Seeds(**_tuples(document["seeds"])),
        filter=_filter(document["filter"]),
        length=length["count"] if "count" in length else length["microseconds"] * _MICROSECOND,
        energy_curve=tuple(document["energy_curve"]),
        pins=tuple(Pin(**pin) for pin in document["pins"]),
        items=tuple(_item(item) for item in document.get("items", ())),
        last_tuning=None if record is None else _record(record),
        create_time=document["create_time"],
        update_time=document["update_time"],
        etag=document["etag"],
    )


def _length_document(length: int | timedelta) -> Document:
    return {"count": length} if isinstance(length, int) else {"microseconds": length // _MICROSECOND}


def _record_document(record: TuningRecord) -> Document:
    return {
        "tune_time": record.tune_time,
        "environment": [
            {
                "kind": use.kind,
                "origin": use.origin,
                "value": _environment_document(use.value),
                "age": _microseconds(use.age),
            }
            for use in record.environment
        ],
        "preferences": [asdict(use) for use in record.preferences],
        "ranker": record.ranker,
        "degradations": [asdict(degradation) for degradation in record.degradations],
        "total_duration": _microseconds(record.total_duration),
    }


def _environment_document(environment: Environment) -> Document:
    values = {name: value for name, value in asdict(environment).items() if value is not None}
    if environment.local_time is not None:
        values["local_time"] = environment.local_time.isoformat()
    return values


def _record(document: Document) -> TuningRecord:
    return TuningRecord(
        tune_time=document["tune_time"],
        environment=tuple(
            EnvironmentUse(use["kind"], use["origin"], _environment(use["value"]), _duration(use["age"]))
            for use in document["environment"]
        ),
        preferences=tuple(PreferenceUse(**use) for use in document["preferences"]),
        ranker=document["ranker"],
        degradations=tuple(Degradation(**degradation) for degradation in document["degradations"]),
        total_duration=document["total_duration"] * _MICROSECOND,
    )


def _environment(document: Document) -> Environment:
    if "local_time" in document:
        return Environment(**{**document, "local_time": time.fromisoformat(document["local_time"])})
    return Environment(**document)


def _filter(document: Document) -> Filter:
    explicit = document["explicit"]
    return Filter(**{**_tuples(document), "explicit": None if explicit is None else Explicit(explicit)})


def _item(document: Document) -> TunedItem:
    reasons = tuple(Reason(**reason) for reason in document["reasons"])
    return TunedItem(**{**_tuples(document), "duration": _duration(document["duration"]), "reasons": reasons})


def _tuples(document: Document) -> Document:
    return {name: tuple(value) if isinstance(value, list | tuple) else value for name, value in document.items()}


def _microseconds(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // _MICROSECOND


def _duration(microseconds: int | None) -> timedelta | None:
    return None if microseconds is None else microseconds * _MICROSECOND
