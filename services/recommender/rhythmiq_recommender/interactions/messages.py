"""Between the API's messages and the model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from rhythmiq.recommender.v1 import interaction_pb2
from rhythmiq.type.v1 import environment_pb2, erasure_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_mesh.names import child_name
from rhythmiq_mesh.times import duration, timestamp
from rhythmiq_recommender.environment_messages import message_of_value, values_of
from rhythmiq_recommender.interactions.model import Draft, Environment, Interaction, Span, Type
from rhythmiq_recommender.model import item_name
from rhythmiq_recommender.situation import EnvironmentKind

_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)
_NANOS_PER_MILLISECOND: Final = 1_000_000
_TYPES: Final = {interaction_pb2.Interaction.Type.Value(type_.name): type_ for type_ in Type}
_TYPE_NUMBERS: Final = {type_: number for number, type_ in _TYPES.items()}
_ITEM_PREFIX: Final = len("items/")


def kind_of(number: variable_pb2.Variable.Kind.ValueType) -> EnvironmentKind:
    """The kind as the model names it, such as `ambient_noise`; one that this version does not know, by its number."""
    names = variable_pb2.Variable.Kind.DESCRIPTOR.values_by_number
    return names[number].name.lower() if number in names else str(number)


def draft_of(message: interaction_pb2.Interaction) -> Draft:
    """An interaction as it arrives, within the rules of the schema."""
    has = message.HasField
    return Draft(
        message.item[_ITEM_PREFIX:],
        _TYPES[message.type],
        _event_time(message.event_time),
        message.source,
        values_of(message.environment) if has("environment") else None,
        message.list,
        message.position if has("position") else None,
        message.propensity if has("propensity") else None,
        _played(message) if has("played") else None,
    )


def message_of(interaction: Interaction) -> interaction_pb2.Interaction:
    """The API's view of an interaction."""
    message = interaction_pb2.Interaction(
        name=interaction.name,
        uid=interaction.id,
        item=item_name(interaction.item_id),
        type=_TYPE_NUMBERS[interaction.type],
        event_time=timestamp(interaction.event_time),
        source=interaction.source,
        position=interaction.position,
        propensity=interaction.propensity,
        create_time=timestamp(interaction.create_time),
        expire_time=timestamp(interaction.expire_time),
    )
    if interaction.environment:
        message.environment.CopyFrom(_environment(interaction.environment))
    if interaction.list_id:
        message.list = child_name(interaction.profile_id, "tuneVectors", interaction.list_id)
    if interaction.played is not None:
        message.played.CopyFrom(duration(interaction.played))
    return message


def span_of(request: interaction_pb2.ListInteractionsRequest) -> Span:
    """Events are kept to the millisecond, so bounds between two milliseconds mean the next one.

    Raises InvalidArgument for a bound that is no time.
    """
    start = _bound(request.start_time, "start_time") if request.HasField("start_time") else None
    end = _bound(request.end_time, "end_time") if request.HasField("end_time") else None
    return Span(start, end)


def receipt(name: str, what: str, count: int, time: datetime) -> erasure_pb2.ErasureReceipt:
    """The receipt of a complete erasure of one kind of thing."""
    erased = [erasure_pb2.ErasureReceipt.Erased(what=what, count=count)]
    return erasure_pb2.ErasureReceipt(name=name, erased=erased, erase_time=timestamp(time))


def _event_time(message: Timestamp) -> datetime:
    """To the millisecond, rounded down; one beyond the year 9999 is still too far in the future."""
    try:
        return _UNIX + timedelta(seconds=message.seconds, milliseconds=message.nanos // _NANOS_PER_MILLISECOND)
    except OverflowError:
        return _LAST


def _bound(message: Timestamp, field: str) -> datetime:
    milliseconds = -(-message.nanos // _NANOS_PER_MILLISECOND)
    try:
        return _UNIX + timedelta(seconds=message.seconds, milliseconds=milliseconds)
    except OverflowError:
        raise InvalidArgument.of(field, "must be a time in the years 1 to 9999") from None


def _played(message: interaction_pb2.Interaction) -> timedelta:
    return timedelta(seconds=message.played.seconds, milliseconds=message.played.nanos // _NANOS_PER_MILLISECOND)


def _environment(environment: Environment) -> environment_pb2.Environment:
    message = environment_pb2.Environment()
    for kind, value in environment.items():
        message.MergeFrom(message_of_value(kind, value))
    return message
