"""How variables and readings look in MongoDB."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from rhythmiq_mesh.mongo import Document
from rhythmiq_variable.model import Kind, Reading, Variable

VARIABLES: Final = "variables"
READINGS: Final = "readings"
ERASURES: Final = "erasures"
NAMED_IN: Final = {VARIABLES: "profile_id", ERASURES: "profile_id"}
"""For ChangeFeed: what removes a variable leaves an erasure, and what records a reading writes its variable."""
_MILLISECOND: Final = timedelta(milliseconds=1)


def milliseconds(duration: timedelta) -> int:
    """Whole milliseconds."""
    return duration // _MILLISECOND


def variable_document(variable: Variable) -> Document:
    """A new variable."""
    return {
        "_id": variable.id,
        "profile_id": variable.profile_id,
        "kind": variable.kind.value,
        "consent_version": variable.consent_version,
        "consent_time": variable.consent_time,
        "retention_ms": milliseconds(variable.retention),
        "create_time": variable.create_time,
        "update_time": variable.update_time,
        "etag": variable.etag,
        "generation": variable.generation,
        "recordings": 0,
    }


def variable_of(document: Document) -> Variable:
    """The variable in a document."""
    variable = Variable(
        id=document["_id"],
        profile_id=document["profile_id"],
        kind=Kind(document["kind"]),
        consent_version=document["consent_version"],
        consent_time=document["consent_time"],
        retention=timedelta(milliseconds=document["retention_ms"]),
        create_time=document["create_time"],
        update_time=document["update_time"],
        etag=document["etag"],
        generation=document["generation"],
    )
    latest = document.get("latest")
    return variable if latest is None else replace(variable, latest=reading_of(latest, variable))


def reading_document(reading: Reading, generation: int) -> Document:
    """A reading; `generation` tells by which retention its expire_time was reckoned."""
    return {
        "_id": reading.id,
        "variable_id": reading.variable_id,
        "value": reading.value,
        "observe_time": reading.observe_time,
        "source": reading.source,
        "create_time": reading.create_time,
        "expire_time": reading.expire_time,
        "generation": generation,
    }


def reading_of(document: Document, variable: Variable) -> Reading:
    """The reading in a document. It expires by the variable's present retention, whatever the document says."""
    return Reading(
        id=variable.reading_id(document["observe_time"], document["source"]),
        profile_id=variable.profile_id,
        variable_id=variable.id,
        kind=variable.kind,
        value=document["value"],
        observe_time=document["observe_time"],
        source=document["source"],
        create_time=document["create_time"],
        expire_time=document["observe_time"] + variable.retention,
    )
