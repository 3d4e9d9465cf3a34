"""rhythmiq.recommender.v1.RecommenderService: protobuf in, use case, protobuf out."""

from __future__ import annotations

from typing import Any, Final

import grpc

from rhythmiq.recommender.v1 import item_pb2, recommender_pb2, recommender_pb2_grpc
from rhythmiq.type.v1 import audio_pb2
from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_mesh.interceptors.validation import validate
from rhythmiq_mesh.principal import current_principal
from rhythmiq_recommender.environment_messages import kind_name, kind_number, message_of_value, values_of
from rhythmiq_recommender.recommend import Answer, Recommend
from rhythmiq_recommender.situation import (
    DEFAULT_COUNT,
    DEFAULT_DIVERSITY,
    DEFAULT_FATIGUE,
    Explicit,
    Filter,
    Seeds,
    Target,
    Wish,
)
from rhythmiq_recommender.what_if import Comparison, Supposition, WhatIf

Context = grpc.aio.ServicerContext[Any, Any]

_DEFAULT_WEIGHT: Final = 1.0


class RecommenderServicer(recommender_pb2_grpc.RecommenderServiceServicer):
    """Only the owner of a profile may ask for it."""

    def __init__(self, recommend: Recommend, what_if: WhatIf) -> None:
        self._recommend = recommend
        self._what_if = what_if

    async def Recommend(
        self, request: recommender_pb2.RecommendRequest, context: Context
    ) -> recommender_pb2.RecommendResponse:
        profile_id = current_principal().require_owner(request.parent)
        return response_of(await self._recommend(wish_of(request, profile_id)))

    async def Explain(
        self, request: recommender_pb2.ExplainRequest, context: Context
    ) -> recommender_pb2.ExplainResponse:
        profile_id = current_principal().require_owner(request.parent)
        wish = wish_of(request_within(request), profile_id)
        return explanation_of(await self._what_if(wish, supposition_of(request)))


def wish_of(request: recommender_pb2.RecommendRequest, profile_id: str) -> Wish:
    """The wish in a validated request."""
    return Wish(
        profile_id=profile_id,
        kind=request.kind or item_pb2.Item.TRACK,
        count=request.count if request.HasField("count") else DEFAULT_COUNT,
        environment=values_of(request.environment),
        tuning={name: _target(target) for name, target in request.tuning.features.items()},
        seeds=Seeds(list(request.seeds.items), list(request.seeds.artists), list(request.seeds.genres)),
        exclude_items=list(request.exclude_items),
        filter=_filter(request.filter),
        seed=request.seed if request.HasField("seed") else None,
        uses_surroundings=request.mode != recommender_pb2.RecommendRequest.USER_GUIDED,
        diversity=request.diversity if request.HasField("diversity") else DEFAULT_DIVERSITY,
        fatigue=request.fatigue if request.HasField("fatigue") else DEFAULT_FATIGUE,
        explore=request.explore or not request.HasField("explore"),
    )


def _target(message: audio_pb2.FeatureTarget) -> Target:
    return Target(
        min=message.min if message.HasField("min") else None,
        max=message.max if message.HasField("max") else None,
        target=message.target if message.HasField("target") else None,
        weight=message.weight if message.HasField("weight") else _DEFAULT_WEIGHT,
    )


def _filter(message: recommender_pb2.RecommendFilter) -> Filter:
    return Filter(
        genres=list(message.genres),
        exclude_genres=list(message.exclude_genres),
        explicit=Explicit(message.explicit),
        languages=list(message.languages),
        min_year=message.min_year if message.HasField("min_year") else None,
        max_year=message.max_year if message.HasField("max_year") else None,
        exclude_artists=list(message.exclude_artists),
    )


def response_of(answer: Answer) -> recommender_pb2.RecommendResponse:
    """The answer as a message; items are parsed here, and only those that are returned."""
    response = recommender_pb2.RecommendResponse(
        ranker=answer.ranker, experiment=answer.experiment, variant=answer.variant
    )
    for rank, pick in enumerate(answer.picks, start=1):
        recommendation = response.recommendations.add(
            rank=rank, score=pick.score, propensity=pick.propensity, explored=pick.explored
        )
        recommendation.item.MergeFromString(answer.snapshot.columns.items[pick.row])
        add_reason = recommendation.reasons.add
        for group, subject, contribution, text in pick.reasons:
            add_reason(group=group.real, subject=subject, contribution=contribution, text=text)
    for surrounding in sorted(answer.surroundings, key=lambda used: kind_number(used.kind)):
        use = response.environment.add(
            kind=kind_number(surrounding.kind),
            origin=surrounding.origin.value,
            value=message_of_value(surrounding.kind, surrounding.value),
        )
        if surrounding.age is not None:
            use.age.FromNanoseconds(round(surrounding.age * 1e9))
    add_preference = response.preferences.add
    for name, type_, value, weight, _ in answer.leanings:
        add_preference(name=name, type=type_.real, value=value, weight=weight)
    for lack in answer.degradations:
        response.degradations.add(subject=lack.subject, reason=lack.reason, text=lack.text)
    return response


def request_within(request: recommender_pb2.ExplainRequest) -> recommender_pb2.RecommendRequest:
    """What would be asked, with the parent of the call. Raises InvalidArgument naming fields below `request`."""
    asked = recommender_pb2.RecommendRequest()
    asked.CopyFrom(request.request)
    if asked.parent not in ("", request.parent):
        raise InvalidArgument.of("request.parent", "must be the parent of the call, or empty")
    asked.parent = request.parent
    validate(asked, prefix="request")
    return asked


def supposition_of(request: recommender_pb2.ExplainRequest) -> Supposition:
    """The surroundings that a validated request supposes."""
    return Supposition(values_of(request.suppose), [kind_name(number) for number in request.suppose_unknown])


def explanation_of(comparison: Comparison) -> recommender_pb2.ExplainResponse:
    """Both answers and the moves as a message."""
    answers = [comparison.actual, comparison.supposed]
    responses = [response_of(answer) for answer in answers]
    # What moves is in one of the lists, and so has been parsed.
    items = {
        pick.row: one.item
        for answer, response in zip(answers, responses, strict=True)
        for pick, one in zip(answer.picks, response.recommendations, strict=True)
    }
    explanation = recommender_pb2.ExplainResponse(actual=responses[0], supposed=responses[1])
    for move in comparison.moves:
        item = items[move.row]
        message = explanation.moves.add(
            item=item.name,
            title=item.title,
            rank=move.rank,
            supposed_rank=move.supposed_rank,
            score=move.score,
            supposed_score=move.supposed_score,
            text=move.text,
        )
        for group, subject, contribution, text in move.changes:
            message.changes.add(group=group.real, subject=subject, contribution=contribution, text=text)
    return explanation
